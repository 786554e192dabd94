"""The text of report.md: sees tables and study.json only, never a trial or a network."""

from typing import Any

import pandas as pd

from model.system.durations import counted, format_range, format_seconds
from model.system.files import write_text
from model.system.terminal import printable
from search_spaces import SearchSpace
from tune.records.load import searched_seconds
from tune.records.run_folder import RunFolder
from tune.records.study_file import StudyFile
from tune.records.tables import ranked, starts_of
from tune.records.trial import Status
from tune.reporting.asha_cost import asha_cost
from tune.reporting.axes import axis_importances, boundary_notes
from tune.reporting.confirmation import confirmation
from tune.reporting.markdown import cell, escaped, section
from tune.reporting.noise import table_notes

_SCORE_COLUMNS = ["val_bits_per_char", "val_own_bits_per_char"]
_TOP = 10


def write_report(folder: RunFolder) -> str:
    """Write report.md of a run from its folder alone and return the text.

    Raises:
        ConfigError: A table or study.json is missing or damaged.
    """
    study = folder.read_study()
    trials, epochs = folder.read_tables()
    text = report_text(study, trials, epochs, folder.read_finalists())
    write_text(folder.report_file, text)
    return text


def report_text(
    study: StudyFile,
    trials: pd.DataFrame,
    epochs: pd.DataFrame,
    finalists: pd.DataFrame,
) -> str:
    """Return the report as Markdown.

    Args:
        study: What study.json holds.
        trials: The trials table.
        epochs: The epochs table.
        finalists: The finalists table.
    """
    space = study.space
    best = ranked(trials)
    sections = [_head(study, trials, epochs)]
    if best.empty:
        sections.append("## No result\n\nNo trial trained an epoch; see the errors below.")
    else:
        sections += [
            _winner(trials, space, study),
            confirmation(finalists, trials, study.unconfirmed),
            _ten_best(study, trials, finalists, space),
            best_of_each_cleaning(best, study),
            baselines_section(trials, epochs, space),
            pruned_section(trials),
            asha_cost(trials, epochs, space),
            progress_section(epochs),
            importance_section(trials, space),
        ]
    failed = trials[trials["error"].notna()]
    if not failed.empty:
        sections.append(section("What went wrong", failed[["trial_id", "status", "error"]]))
    return "\n\n".join(sections) + "\n"


def best_table(trials: pd.DataFrame, space: SearchSpace) -> pd.DataFrame:
    """Return the best configurations, at most ten, best first."""
    best = ranked(trials).head(_TOP)
    axes = [axis for axis in space.axes if axis != "cleaning"]
    columns = ["number", *_SCORE_COLUMNS, "cleaning", *axes, "best_epoch", "status", "baseline"]
    return best[columns].assign(baseline=best["baseline"].fillna(""))


def _head(study: StudyFile, trials: pd.DataFrame, epochs: pd.DataFrame) -> str:
    counts = trials["status"].value_counts()
    statuses = ", ".join(f"{counts[s.value]} {s.value}" for s in Status if s.value in counts)
    corpus = study.corpus
    return (
        f"# Search of {escaped(study.space.name)} on {escaped(corpus.name)}\n\n"
        f"    {' '.join(printable(study.command).split())}\n\n"
        f"{counted(len(trials), 'trial')} ({statuses or 'none'}) in "
        f"{format_seconds(searched_seconds(study, trials, epochs))}, {study.ended}. "
        f"{counted(int(trials['epochs_run'].sum()), 'epoch')}. "
        f"Corpus: {corpus.num_chars:,} characters, {escaped(corpus.source)}. "
        f"Seed {study.settings.seed}. {study.machine}.{_planned(study)}"
    )


def _planned(study: StudyFile) -> str:
    """Return what the plan had said of the time; nothing for a run that had no estimate."""
    estimate = study.estimate
    if estimate is None:
        return ""
    took = f"; it took {format_seconds(study.search_seconds)}"
    # Of a search that was given another budget: its first plan was for something else.
    later = " in all when it was resumed" if estimate.planned_on_resuming else ""
    text = (
        f"\n\nThe plan was {format_range(*estimate.planned_seconds)}{later}"
        f"{'' if study.is_running else took}."
    )
    if estimate.measured_by_predicted is not None:
        low, median, high = estimate.measured_by_predicted
        text += (
            f" An epoch took {median:.2f} times as long as predicted ({low:.2f} to {high:.2f}; "
            f"median and middle 80 % of {counted(estimate.measured_trials, 'trial')})."
        )
    # Runs from before 2026-11-26 have none.
    if estimate.memory_by_predicted is not None:
        low, median, high = estimate.memory_by_predicted
        text += (
            f" A trial's process took {median:.2f} times the memory that was predicted "
            f"({low:.2f} to {high:.2f}; {counted(estimate.memory_trials, 'trial')})."
        )
    return text


def _winner(trials: pd.DataFrame, space: SearchSpace, study: StudyFile) -> str:
    best = ranked(trials)
    winner = best.iloc[0]
    floor = study.floor_bits_per_char
    settings = ", ".join(f"{axis} {cell(winner[axis])}" for axis in space.axes)
    rivals = best[best["baseline"].notna()]
    if rivals.empty:
        against = "No baseline was measured."
    elif winner["number"] == rivals.iloc[0]["number"]:
        against = f"It is a baseline, {winner['baseline']}: no other trial was better."
    else:
        rival = rivals.iloc[0]
        margin = rival["val_bits_per_char"] - winner["val_bits_per_char"]
        against = (
            f"The best baseline, {rival['baseline']}, scores {rival['val_bits_per_char']:.4f}: "
            f"{margin:.4f} bits more."
        )
    return (
        f"## The winner\n\n**{winner['val_bits_per_char']:.4f} bits per character** "
        f"({winner['val_own_bits_per_char']:.4f} own), trial {winner['number']}, epoch "
        f"{winner['best_epoch']}: {settings}.\n\n"
        f"{against}{_against_starts(winner, starts_of(trials, space))} The floor, a character "
        f"{study.objective.floor_order}-gram that trains in a second, scores {floor:.4f}. "
        f"The winner's value is the best of many on the same validation passage, so it is "
        f"optimistic."
    )


def _against_starts(winner: pd.Series, starts: pd.DataFrame) -> str:
    if starts.empty:
        return ""
    start = starts.iloc[0]
    if start["number"] == winner["number"]:
        return " The search started from it: nothing that it proposed was better."
    margin = start["val_bits_per_char"] - winner["val_bits_per_char"]
    return (
        f" The best that the search started from, trial {start['number']}, scores "
        f"{start['val_bits_per_char']:.4f}: {margin:.4f} bits more."
    )


def _ten_best(
    study: StudyFile, trials: pd.DataFrame, finalists: pd.DataFrame, space: SearchSpace
) -> str:
    table = best_table(trials, space)
    notes = [*table_notes(study, table, trials, finalists), *boundary_notes(trials, space)]
    return section("The ten best", table, "\n".join(f"- {note}" for note in notes))


def best_of_each_cleaning(best: pd.DataFrame, study: StudyFile) -> str:
    """Return the section on cleanings: restored and own bits, prices, floors.

    Args:
        best: The measured trials, best first.
        study: What study.json holds.
    """
    floors = study.objective.floors
    prices = study.objective.restoration_bits_per_char
    rows = []
    for cleaning, price in prices.items():
        of_cleaning = best[best["cleaning"] == cleaning]
        first = of_cleaning.iloc[0] if not of_cleaning.empty else None
        rows.append(
            {
                "cleaning": cleaning,
                "best trial": "" if first is None else str(first["number"]),
                "restored bits": None if first is None else first["val_bits_per_char"],
                "own bits": None if first is None else first["val_own_bits_per_char"],
                "restoration price": price,
                "floor": floors[cleaning].validation_bits_per_char + price,
                "floor, own text": floors[cleaning].validation_bits_per_char,
            }
        )
    note = (
        "Restored bits are compared: own bits and what the cleaning dropped, at the floor "
        "model's price, per raw character. Own bits, per cleaned character, fall with every "
        "symbol that is dropped. Both floor columns are per raw character."
    )
    return section("The best of each cleaning, and the floor", pd.DataFrame(rows), note)


def baselines_section(trials: pd.DataFrame, epochs: pd.DataFrame, space: SearchSpace) -> str:
    """Return the section on the baselines, beside what their source reports of them."""
    rows = []
    for baseline in space.baselines:
        ours = trials[trials["baseline"] == baseline.name]
        row: dict[str, Any] = {"baseline": baseline.name, "status": "not run"}
        if not ours.empty:
            trial = ours.iloc[0]
            last = epochs[epochs["number"] == trial["number"]].tail(1)
            row |= {
                "status": trial["status"],
                "val_bits_per_char": trial["val_bits_per_char"],
                "own bits": trial["val_own_bits_per_char"],
                "training loss": None if last.empty else last["train_nats_per_char"].iloc[0],
                "seconds": trial["elapsed_seconds"],
            }
        row["documented loss"] = baseline.documented_nats_per_char
        row["documented seconds"] = baseline.documented_seconds
        rows.append(row)
    if not rows:
        return "## Baselines\n\nThe space has none."
    note = (
        "Training losses are in nats per own character, dropout on, of the last epoch. The "
        "documented ones are of the same settings in the reference's own way of training."
    )
    return section("Baselines", pd.DataFrame(rows), note)


def pruned_section(trials: pd.DataFrame) -> str:
    """Return the section on what ASHA stopped, by the epoch."""
    pruned = trials[trials["status"] == Status.PRUNED.value]
    groups = pruned.groupby("epochs_run")["val_bits_per_char"]
    table = groups.agg(["count", "min", "median", "max"]).reset_index()
    table = table.rename(columns={"epochs_run": "after epoch", "count": "trials"})
    return section("What was pruned when", table)


def progress_section(epochs: pd.DataFrame) -> str:
    """Return the section on who led from when on."""
    ordered = epochs.sort_values("search_seconds", ignore_index=True)
    before = ordered["val_bits_per_char"].cummin().shift(fill_value=float("inf"))
    better = ordered[ordered["val_bits_per_char"] < before]
    # One row for each trial that took the lead, with the last value it led with.
    leads = (better["number"] != better["number"].shift()).cumsum()
    last = better.groupby(leads).tail(1)
    table = pd.DataFrame(
        {
            "after": [format_seconds(seconds) for seconds in last["search_seconds"]],
            "trial": last["number"].to_list(),
            "epoch": last["epoch"].to_list(),
            "best so far": last["val_bits_per_char"].to_list(),
        }
    )
    return section("How the best value fell", table)


def importance_section(trials: pd.DataFrame, space: SearchSpace) -> str:
    """Return the section on which axis mattered."""
    shares = axis_importances(trials, space)
    if not shares:
        return "## Importance of each axis\n\nToo few different trials to tell."
    table = pd.DataFrame({"axis": list(shares), "share": list(shares.values())})
    note = "PED-ANOVA over all measured trials; those that ASHA stopped blur `epochs`."
    return section("Importance of each axis", table, note)
