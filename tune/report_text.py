"""The text of report.md: sees tables and study.json only, never a trial or a network."""

from typing import Any

import pandas as pd

from model.system.durations import counted, format_range, format_seconds
from model.system.files import write_text
from model.system.terminal import shown
from search_spaces import SearchSpace
from tune.asha_cost import asha_cost
from tune.confirmation import confirmation
from tune.edges import edge_notes
from tune.markdown import cell, escaped, section
from tune.noise import table_notes
from tune.records.load import floor_bits, searched_seconds
from tune.records.run_folder import STILL_RUNNING, RunFolder
from tune.records.tables import ranked, starts_of
from tune.records.trial import Status
from tune.report_sections import (
    baselines_section,
    best_of_each_cleaning,
    importance_section,
    progress_section,
    pruned_section,
)

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
    study: dict[str, Any],
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
    space = SearchSpace.from_json(study["space"])
    best = ranked(trials)
    sections = [_head(study, trials, epochs)]
    if best.empty:
        sections.append("## No result\n\nNo trial trained an epoch; see the errors below.")
    else:
        sections += [
            _winner(trials, space, study),
            confirmation(finalists, trials, study.get("unconfirmed")),
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


def _head(study: dict[str, Any], trials: pd.DataFrame, epochs: pd.DataFrame) -> str:
    counts = trials["status"].value_counts()
    statuses = ", ".join(f"{counts[s.value]} {s.value}" for s in Status if s.value in counts)
    corpus = study["corpus"]
    return (
        f"# Search of {escaped(study['space']['name'])} on {escaped(corpus['name'])}\n\n"
        f"    {' '.join(shown(study['command']).split())}\n\n"
        f"{counted(len(trials), 'trial')} ({statuses or 'none'}) in "
        f"{format_seconds(searched_seconds(study, trials, epochs))}, {study['ended']}. "
        f"{counted(int(trials['epochs_run'].sum()), 'epoch')}. "
        f"Corpus: {corpus['num_chars']:,} characters, {escaped(corpus['source'])}. "
        f"Seed {study['seed']}. {study['machine']}.{_planned(study)}"
    )


def _planned(study: dict[str, Any]) -> str:
    """Return what the plan had said of the time; nothing for a run that had no estimate."""
    estimate = study.get("estimate")
    if estimate is None:
        return ""
    took = f"; it took {format_seconds(study['search_seconds'])}"
    # Of a search that was given another budget: its first plan was for something else.
    later = " in all when it was resumed" if estimate.get("planned_on_resuming") else ""
    text = (
        f"\n\nThe plan was {format_range(*estimate['planned_seconds'])}{later}"
        f"{took if study['ended'] != STILL_RUNNING else ''}."
    )
    if estimate["measured_by_predicted"] is not None:
        low, median, high = estimate["measured_by_predicted"]
        text += (
            f" An epoch took {median:.2f} times as long as predicted ({low:.2f} to {high:.2f}; "
            f"median and middle 80 % of {counted(estimate['measured_trials'], 'trial')})."
        )
    # Runs from before 2026-11-26 have none.
    if estimate.get("memory_by_predicted") is not None:
        low, median, high = estimate["memory_by_predicted"]
        text += (
            f" A trial's process took {median:.2f} times the memory that was predicted "
            f"({low:.2f} to {high:.2f}; {counted(estimate['memory_trials'], 'trial')})."
        )
    return text


def _winner(trials: pd.DataFrame, space: SearchSpace, study: dict[str, Any]) -> str:
    best = ranked(trials)
    winner = best.iloc[0]
    floor = floor_bits(study)
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
        f"{study['objective']['floor_order']}-gram that trains in a second, scores {floor:.4f}. "
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
    study: dict[str, Any], trials: pd.DataFrame, finalists: pd.DataFrame, space: SearchSpace
) -> str:
    table = best_table(trials, space)
    notes = [*table_notes(study, table, trials, finalists), *edge_notes(trials, space)]
    return section("The ten best", table, "\n".join(f"- {note}" for note in notes))
