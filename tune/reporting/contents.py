"""Which sections the reports of a run have, and those on its trials."""

from collections.abc import Callable
from typing import Any

import pandas as pd

from model.system.durations import counted, format_seconds
from tune.records.load import LoadedRun
from tune.records.order_table import by_hand
from tune.records.tables import ranked, ranked_configurations
from tune.records.trial import Status
from tune.reporting.against import (
    as_far_as,
    best_baseline,
    compared_fields,
    other_fields,
    winner_then,
)
from tune.reporting.asha_cost import asha_cost
from tune.reporting.axes import (
    MIN_BEST,
    RESAMPLES,
    axis_shares,
    boundary_notes,
    constant_axes,
    num_best_tenth,
    partial_axes,
)
from tune.reporting.best_of_each import best_of_each_cleaning, best_of_each_group
from tune.reporting.confirmation import confirmation
from tune.reporting.figures.axes import importance, parallel_coordinates, slices
from tune.reporting.figures.over_time import best_so_far, busy_share, stretches, timeline
from tune.reporting.figures.scores import compared
from tune.reporting.noise import table_notes
from tune.reporting.predictor import predictor_section
from tune.reporting.published import published_results
from tune.reporting.section import Section, escaped, listed, shown
from tune.reporting.trade_off import trade_off

_TOP = 10


def sections_of(run: LoadedRun) -> list[Section]:
    """Return the sections of a run's reports, in order."""
    functions = SECTIONS if run.has_result else (failures,)
    found = (function(run) for function in functions)
    return [section for section in found if section is not None]


def winner(run: LoadedRun) -> Section:
    """Return the section on the best trial."""
    best = ranked(run.trials)
    first = best.iloc[0]
    floor = run.study.floor_bits_per_char
    settings = ", ".join(f"{each} {escaped(shown(first[each]))}" for each in compared_fields(run))
    rival = best_baseline(run)
    if rival is None:
        against = "No baseline was measured."
    elif first["number"] == rival["number"]:
        against = f"It is a baseline, {escaped(first['baseline'])}; no other trial is better."
    else:
        against = f"The best baseline, {escaped(rival['baseline'])}, {_behind(rival, first)}"
        if cut := as_far_as(rival):
            against += f" It was trained for {cut}; the winner scored {winner_then(run, rival)}."
    resemblance, nothing = run.study.resemblance, run.study.found_nothing
    reasons = [escaped(nothing)] if nothing else []
    if first["val_bits_per_char"] >= floor:
        longer = "; with more time (`--resume`) one may" if run.space.distributions else ""
        reasons.append(f"no network beats the n-gram, which scores {floor:.4f} bits{longer}")
    if resemblance:  # the n-gram of a short text says little
        unpriced = run.study.objective.as_floors().unpriced(first["cleaning"])
        reasons += filter(None, (resemblance.warning, unpriced))
    warning = " ".join(f"**Warning**: {reason}." for reason in reasons)
    return Section(
        title="The winner",
        caption=warning,
        body=(
            *([warning] if warning else []),
            f"Trial {first['number']} scores **{first['val_bits_per_char']:.4f} bits per "
            f"character** ({first['val_own_bits_per_char']:.4f} own bits) after epoch "
            f"{first['best_epoch']}. Settings: {settings}.",
            f"{against}{_against_starts(first, run.starts)} The floor, a "
            f"{run.study.objective.floor_name} that trains in a second, scores {floor:.4f}. The "
            f"winner's score is the best of many on one validation passage, so it is optimistic.",
        ),
        page_title="The winner and the baselines",
        draw=lambda: [compared(run)],
    )


def _behind(rival: pd.Series, first: pd.Series) -> str:
    score = rival["val_bits_per_char"]
    return f"scores {score:.4f}, {score - first['val_bits_per_char']:.4f} bits more."


def _against_starts(first: pd.Series, starts: pd.DataFrame) -> str:
    if starts.empty:
        return ""
    start = starts.iloc[0]
    if start["number"] == first["number"]:
        return " The winner is one of the search's starts: no proposed configuration is better."
    return f" The best of the search's starts, trial {start['number']}, {_behind(start, first)}"


def ten_best(run: LoadedRun) -> Section:
    """Return the section on the best configurations."""
    return Section(title="The ten best", body=(best_table(run), listed(best_notes(run))))


def best_table(run: LoadedRun) -> pd.DataFrame:
    """Return the best configurations, at most ten, best first."""
    best = ranked_configurations(run.trials).head(_TOP)
    axes = [field for field in compared_fields(run) if field != "cleaning"]
    scores = ["val_bits_per_char", "val_own_bits_per_char"]
    columns = ["number", *scores, "cleaning", *axes, "best_epoch", "status", "baseline"]
    return best[columns].assign(baseline=best["baseline"].fillna(""))


def best_notes(run: LoadedRun) -> list[str]:
    """Return sentences on these: noise, the floor, the edges of the space."""
    repeats = len(ranked(run.trials)) - len(ranked_configurations(run.trials))
    notes = [*table_notes(run, best_table(run)), *boundary_notes(run)]
    if repeats > 0:
        trials = f"{counted(repeats, 'trial')} {'repeats' if repeats == 1 else 'repeat'}"
        notes.append(f"{trials} a configuration; the table shows the best of each.")
    return notes


def baselines(run: LoadedRun) -> Section:
    """Return the section on the baselines, with the figures that their source reports."""
    rows = []
    for baseline in run.space.baselines:
        ours = run.trials[run.trials["baseline"] == baseline.name]
        row: dict[str, Any] = {"baseline": baseline.name, "status": "not run"}
        if not ours.empty:
            trial = ours.iloc[0]
            last = run.epochs[run.epochs["number"] == trial["number"]].tail(1)
            row |= {
                "status": as_far_as(trial) or trial["status"],
                "val_bits_per_char": trial["val_bits_per_char"],
                "own bits": trial["val_own_bits_per_char"],
                "training loss": None if last.empty else last["train_nats_per_char"].iloc[0],
                "seconds": trial["elapsed_seconds"],
            }
        row["documented loss"] = baseline.documented_nats_per_char
        row["documented seconds"] = baseline.documented_seconds
        rows.append(row)
    if not rows:
        return Section(title="Baselines", body=("The space has no baselines.",))
    note = (
        "`training loss` is the last epoch's, in nats per cleaned character, with dropout on. "
        "`documented loss` and `documented seconds` are those published for the same settings, "
        "trained as the reference trains."
    )
    if others := "; ".join(other_fields(run).values()):
        note += f" The baselines use {others}."
    return Section(title="Baselines", body=(pd.DataFrame(rows), note))


def pruned(run: LoadedRun) -> Section:
    """Return the section on the trials that ASHA stopped, by epoch."""
    stopped = run.trials[run.trials["status"] == Status.PRUNED.value]
    groups = stopped.groupby("epochs_run")["val_bits_per_char"]
    table = groups.agg(["count", "min", "median", "max"]).reset_index()
    table = table.rename(columns={"epochs_run": "after epoch", "count": "trials"})
    return Section(title="Pruned trials by epoch", body=(table,))


def progress(run: LoadedRun) -> Section:
    """Return the section on the best value over time."""
    ordered = run.epochs.sort_values("search_seconds", ignore_index=True)
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
    return Section(
        title="The best score over time",
        body=(table,),
        page_title="Best so far",
        caption=(
            "Each point is a trial's best score, at the time it was reached. Click a point to "
            "find its trial in the table below. Points far above the rest lie outside the plot; "
            "double-click to show them."
        ),
        draw=lambda: [best_so_far(run)],
    )


def axis_importance(run: LoadedRun) -> Section:
    """Return the section on the importance of the axes."""
    title, page_title = "Importance of each axis", "Which axis mattered"
    shares = axis_shares(run)
    if shares.empty:
        unknown = "There are too few distinct trials to tell."
        return Section(title=title, page_title=page_title, body=(unknown,))
    note = (
        "PED-ANOVA over all measured trials. Trials that ASHA stopped blur the effect of `epochs`."
    )
    left_out = _left_out("they took only one value", constant_axes(run))
    left_out += _left_out("not all trials have them", partial_axes(run))
    num_best = num_best_tenth(run)
    if num_best < MIN_BEST:
        left_out += (
            f" The best tenth is {counted(num_best, 'trial')}, too few for reliable shares."
        )
    resamples = 0 if run.is_running else RESAMPLES  # 2.4 to 5 s with 1,000 trials
    uncertainty = (
        f"Each bar spans the middle 80 % of {resamples} resamples of the trials; where bars "
        "overlap, the order is uncertain. A resample has fewer distinct trials, so its shares "
        "are more even, and a large share may lie above its bar."
        if resamples
        else "Their uncertainty is computed when the search has ended."
    )
    return Section(
        title=title,
        body=(shares[["axis", "share"]], note + left_out),
        page_title=page_title,
        caption=(
            "PED-ANOVA over all measured trials: each axis's share in what separates the best "
            f"tenth from the rest. {uncertainty} Trials that ASHA stopped blur the effect of "
            f"`epochs`.{left_out}"
        ),
        draw=lambda: [importance(axis_shares(run, resamples=resamples))],
    )


def _left_out(reason: str, axes: list[str]) -> str:
    names = ", ".join(f"`{axis}`" for axis in axes)
    return f" Left out because {reason}: {names}." if names else ""


def all_axes(run: LoadedRun) -> Section | None:
    """Return the section on all axes together; None for a space without axes."""
    if not run.space.distributions:
        return None
    return Section(
        title="All axes at once",
        caption="Each line is a trial. The last axis is its rank, with the best score on top.",
        draw=lambda: [parallel_coordinates(run)],
    )


def each_axis(run: LoadedRun) -> Section | None:
    """Return the section on single axes; None for a space without axes."""
    if not run.space.distributions:
        return None
    return Section(
        title="Each axis separately",
        caption=(
            "The star is the winner; diamonds are baselines. Grey rings are trials that ASHA "
            "stopped: after few epochs, scores are high whatever the settings."
        ),
        draw=lambda: slices(run),
    )


def workers(run: LoadedRun) -> Section:
    """Return the section on which trials ran together."""
    ran = stretches(run.epochs)
    return Section(
        title="When each trial ran",
        caption=(
            f"Each bar is a trial. At most {ran['row'].max() + 1} ran at once; the rows are "
            f"filled for {busy_share(ran):.0%} of the time. A trial is in the first row that was "
            "free when it started, because the process that ran it is not recorded."
        ),
        draw=lambda: [timeline(run, ran)],
    )


def steered(run: LoadedRun) -> Section | None:
    """Return the section on commands to the running search; None if there were none."""
    done = by_hand(run.orders)
    return Section(title="By hand", body=(f"By hand: {'; '.join(done)}.",)) if done else None


def failures(run: LoadedRun) -> Section | None:
    """Return the section on errors; None without one."""
    failed = run.trials[run.trials["error"].notna()]
    table = failed[["trial_id", "status", "error"]]
    return None if failed.empty else Section(title="Errors", body=(table,))


SECTIONS: tuple[Callable[[LoadedRun], Section | None], ...] = (
    winner,
    confirmation,
    predictor_section,
    published_results,
    ten_best,
    best_of_each_cleaning,
    best_of_each_group,
    trade_off,
    baselines,
    pruned,
    asha_cost,
    progress,
    axis_importance,
    all_axes,
    each_axis,
    workers,
    steered,
    failures,
)
"""Functions that make the sections of a run with a result, or None if it has no such section."""
