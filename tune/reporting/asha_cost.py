"""The report's section on ASHA: what it saved, and whether its rungs could tell good from poor.

At a rung ASHA compares the running best of the trials that reached it, and stops a trial that
lies outside the best 1 / reduction_factor of those that came there: of all, or of those in its
group; if it promotes, until the trial lies inside. A trial whose learning rate falls by then is
judged before (search_spaces/budget.py).

Source: Li 2018, "A System for Massively Parallel Hyperparameter Tuning", arXiv:1810.05934.
"""

import math
from typing import Any

import pandas as pd

from model.config import TrialConfig, whole
from model.system.durations import format_seconds
from search_spaces import Budget
from tune.records.load import LoadedRun
from tune.records.tables import of_group, ranked
from tune.records.trial import Status
from tune.reporting.figures.over_time import learning_curves
from tune.reporting.section import Section

MIN_TRIALS = 5
"""A figure that rests on fewer trials is not shown."""
TOP_SHARE = 0.1
MIN_TOP = 3
"""The eventual best are a tenth of the finished trials, three at least."""


def asha_cost(run: LoadedRun) -> Section:
    """Return the section."""
    factor = run.space.budget.reduction_factor
    body: tuple[pd.DataFrame | str, ...] = ("It stopped no trial.",)
    if (run.trials["status"] == Status.PRUNED.value).any():
        body = rung_table(run), _saved(run.trials), _reading(run.space.budget, _within(run))
    return Section(
        title="What ASHA saved, and what it cost",
        body=body,
        page_title="Learning curves",
        caption=(
            "A line is a trial. At a rung ASHA stops those that are not among the best "
            f"1 in {factor} so far{_within(run)}; baselines and the base are never stopped."
        ),
        draw=lambda: [learning_curves(run)],
    )


def rung_table(run: LoadedRun) -> pd.DataFrame:
    """Return one row a rung that a trial reached; what too few trials carry is None.

    Where trials are compared within groups, a rung has one row a group.
    """
    trials, budget = run.trials, run.space.budget
    max_reports, an_epoch = run.space.max_reports, run.space.base.reports_per_epoch
    # What a trial's learning rate depends on, and nothing else: rows of all columns are slow.
    settings = zip(trials["epochs"], trials["decay_fraction"], trials["regime"], strict=True)
    judged = [
        budget.judged_reports(
            TrialConfig(
                epochs=float(length),
                reports_per_epoch=an_epoch,
                decay_fraction=float(decay),
                regime=str(regime),
            ),
            max_reports,
        )
        for length, decay, regime in settings
    ]
    rows = []
    num_reports = run.epochs.groupby("number").size()
    reports_run = trials["number"].map(num_reports).fillna(0)
    for rung in budget.rungs(max_reports):
        # Never reached where the trial itself ends before the rung.
        report = pd.Series([at.get(rung, math.inf) for at in judged], index=trials.index)
        for group in run.space.groups():
            values = dict(zip(budget.compare_within, group, strict=True))
            compared = of_group(trials.assign(judged=report, reports_run=reports_run), values)
            at_rung = _rung(compared, run.epochs, rung, budget.reduction_factor)
            rows.append({"rung, epoch": whole(rung / an_epoch), **values, **at_rung})
    # Objects: beside a None, pandas would make floats of counts.
    return pd.DataFrame([row for row in rows if row["reached"]], dtype=object)


def saved_seconds(trials: pd.DataFrame) -> float:
    """Return the worker-seconds that the pruned trials' remaining epochs would have taken."""
    # Without a report, at which it was stopped, nobody knows what its epochs take.
    has_report = trials["epochs_run"] * trials["reports_per_epoch"] > 0.5
    pruned = trials[(trials["status"] == Status.PRUNED.value) & has_report]
    seconds_per_epoch = pruned["elapsed_seconds"] / pruned["epochs_run"]
    return float(((pruned["epochs"] - pruned["epochs_run"]) * seconds_per_epoch).sum())


def _rung(
    trials: pd.DataFrame, epochs: pd.DataFrame, rung: int, reduction_factor: int
) -> dict[str, Any]:
    reached = trials[trials["reports_run"] >= trials["judged"]]
    stopped = reached[
        (reached["status"] == Status.PRUNED.value) & (reached["reports_run"] == reached["judged"])
    ]
    # Those whose rung was moved were compared elsewhere.
    compared = reached[reached["judged"] == rung]
    until = epochs[(epochs["report"] <= rung) & epochs["number"].isin(compared["number"])]
    values = until.groupby("number")["val_bits_per_char"].min().astype(float)
    finished = ranked(trials[trials["status"] == Status.COMPLETE.value])
    later = finished[finished["number"].isin(compared["number"])]
    # Where a trial ended at the rung, its value there is its final one: that would be no forecast.
    later = later[later["reports_run"] > rung].set_index("number")
    row: dict[str, Any] = {
        "reached": len(reached),
        "stopped": len(stopped),
        "cut": None,
        "trained on to the end": len(later),
        "rank correlation": None,
        "best at the end": None,
        "stopped if last": None,
    }
    if len(later) >= MIN_TRIALS:
        finals = later["val_bits_per_char"].astype(float)
        # Spearman's: Pearson's of the ranks, equal values sharing theirs.
        row["rank correlation"] = float(values[later.index].rank().corr(finals.rank()))
    if len(values) >= MIN_TRIALS:
        row["cut"] = float(values.quantile(1 / reduction_factor))
        if len(finished) >= MIN_TRIALS:
            top = finished.head(max(MIN_TOP, math.ceil(TOP_SHARE * len(finished))))
            judged = [number for number in top["number"] if number in values.index]
            row["best at the end"] = len(judged)
            row["stopped if last"] = sum(
                bool(values[number] > values.drop(number).quantile(1 / reduction_factor))
                for number in judged
            )
    return row


def _within(run: LoadedRun) -> str:
    """Return " of their `unit`" where trials are compared within units, else an empty text."""
    names = " and ".join(f"`{name}`" for name in run.space.budget.compare_within)
    return f" of their {names}" if names else ""


def _saved(trials: pd.DataFrame) -> str:
    saved, spent = saved_seconds(trials), float(trials["elapsed_seconds"].sum())
    share = saved / (saved + spent) if saved + spent else 0.0
    num_pruned = int((trials["status"] == Status.PRUNED.value).sum())
    finished = trials[
        (trials["status"] == Status.COMPLETE.value)
        & (trials["patience_epochs"] > 0)
        & (trials["regime"] == "stream")
    ]
    lines = (
        f"Saved: {format_seconds(saved)} of worker time, {share:.0%} of what "
        f"these trials would have taken without ASHA: the epochs that the {num_pruned} pruned "
        f"ones had left, at the seconds that each took for an epoch. This assumes that they "
        f"would have trained all of them, though patience may have ended them earlier"
    )
    if finished.empty:
        return f"{lines}."
    ran = finished["epochs_run"].sum() / finished["epochs"].sum()
    return f"{lines}; those with patience that finished ran {ran:.0%} of theirs."


def _reading(budget: Budget, within: str) -> str:
    if budget.promotes:
        last = (
            "baselines and the base always pass; had the others come last, they would have waited "
            "there"
        )
    else:
        last = (
            "ASHA lets early trials pass, baselines and the base always; had they come last, it "
            "would have stopped them"
        )
    groups = f"A trial is compared with those{within} alone, and a row is of these.\n\n"
    return (
        f"{groups if within else ''}"
        f"`rank correlation` is Spearman's, between the running best at the rung and the best "
        f"at the end, of the trials that were trained on from there to their end. ASHA did not "
        f"choose the baselines and the base among them; the others it let pass here and at every "
        f"later rung. "
        f"A low value says that the rung could not order the trials that passed. A high one does "
        f"not say that it stopped the right ones: they were never trained on. The narrower field "
        f"lowers it; that the best at the end counts the epochs before the rung raises it.\n\n"
        f"`best at the end` are those of the best tenth of the finished trials (at least "
        f"{MIN_TOP}) that reached the rung; `stopped if last` of them lie outside the best 1 in "
        f"{budget.reduction_factor} of the others that reached it: {last}. `cut` is where the "
        f"rung ended. What else was lost cannot be seen in a search that stops trials. Nothing "
        f"is shown that fewer than {MIN_TRIALS} trials carry."
    )
