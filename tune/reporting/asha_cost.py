"""The report's section on ASHA: what it saved, and whether its rungs could tell good from poor.

At a rung, ASHA compares the running best of the trials that reached it: of all, or of those in
the same group. It stops a trial outside the best 1 / reduction_factor; if it promotes, only until
the trial lies inside. A trial whose learning rate decays by then is judged earlier
(search_spaces/budget.py).

Source: Li 2018, "A System for Massively Parallel Hyperparameter Tuning", arXiv:1810.05934.
"""

import math
from typing import Any

import pandas as pd

from model.config import TrialConfig, whole
from model.system.durations import counted, format_seconds
from search_spaces import Budget
from tune.records.load import LoadedRun
from tune.records.tables import of_group, ranked
from tune.records.trial import Status
from tune.reporting.figures.over_time import learning_curves
from tune.reporting.section import Section

MIN_TRIALS = 5
"""A figure based on fewer trials is not shown."""
TOP_SHARE = 0.1
MIN_TOP = 3
"""The eventual best are the best tenth of the finished trials, but at least three."""


def asha_cost(run: LoadedRun) -> Section:
    """Return the section."""
    factor = run.space.budget.reduction_factor
    body: tuple[pd.DataFrame | str, ...] = ("ASHA stopped no trial.",)
    if (run.trials["status"] == Status.PRUNED.value).any():
        body = rung_table(run), _saved(run.trials), _reading(run.space.budget, _within(run))
    return Section(
        title="What ASHA saved, and what it cost",
        body=body,
        page_title="Learning curves",
        caption=(
            "Each line is a trial. At a rung, ASHA stops trials that are not among the best "
            f"1 in {factor} so far{_within(run)}; it never stops baselines or the base."
        ),
        draw=lambda: [learning_curves(run)],
    )


def rung_table(run: LoadedRun) -> pd.DataFrame:
    """Return one row per rung that a trial reached; figures based on too few trials are None.

    If trials are compared within groups, a rung has one row per group.
    """
    trials, budget = run.trials, run.space.budget
    max_reports, an_epoch = run.space.max_reports, run.space.base.reports_per_epoch
    # Only what the learning rate depends on: whole rows are slow.
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
        # Infinite if the trial ends before the rung.
        report = pd.Series([at.get(rung, math.inf) for at in judged], index=trials.index)
        for group in run.space.groups():
            values = dict(zip(budget.compare_within, group, strict=True))
            compared = of_group(trials.assign(judged=report, reports_run=reports_run), values)
            at_rung = _rung(compared, run.epochs, rung, budget)
            rows.append({"rung, epoch": whole(rung / an_epoch), **values, **at_rung})
    # Objects: beside a None, pandas would make floats of counts.
    return pd.DataFrame([row for row in rows if row["reached"]], dtype=object)


def saved_seconds(trials: pd.DataFrame) -> float:
    """Return the worker-seconds that the pruned trials' remaining epochs would have taken."""
    # Without a report, the time per epoch is unknown.
    has_report = trials["epochs_run"] * trials["reports_per_epoch"] > 0.5
    pruned = trials[(trials["status"] == Status.PRUNED.value) & has_report]
    seconds_per_epoch = pruned["elapsed_seconds"] / pruned["epochs_run"]
    return float(((pruned["epochs"] - pruned["epochs_run"]) * seconds_per_epoch).sum())


def _rung(trials: pd.DataFrame, epochs: pd.DataFrame, rung: int, budget: Budget) -> dict[str, Any]:
    reached = trials[trials["reports_run"] >= trials["judged"]]
    stopped = reached[
        (reached["status"] == Status.PRUNED.value) & (reached["reports_run"] == reached["judged"])
    ]
    # Trials whose rung was moved were compared elsewhere.
    compared = reached[reached["judged"] == rung]
    until = epochs[(epochs["report"] <= rung) & epochs["number"].isin(compared["number"])]
    values = until.groupby("number")["val_bits_per_char"].min().astype(float)
    finished = ranked(trials[trials["status"] == Status.COMPLETE.value])
    later = finished[finished["number"].isin(compared["number"])]
    # A trial that ended at the rung has its final value there, so the rung predicted nothing.
    later = later[later["reports_run"] > rung].set_index("number")
    row: dict[str, Any] = {
        "reached": len(reached),
        "stopped": len(stopped),
        "cut": None,
        "trained to the end": len(later),
        "rank correlation": None,
        "eventual best": None,
        "stopped if last": None,
    }
    if len(later) >= MIN_TRIALS:
        finals = later["val_bits_per_char"].astype(float)
        # Spearman's is Pearson's of the ranks; equal values share a rank.
        row["rank correlation"] = float(values[later.index].rank().corr(finals.rank()))
    if len(values) >= MIN_TRIALS:
        row["cut"] = _cut(values, budget)
        if len(finished) >= MIN_TRIALS:
            top = finished.head(max(MIN_TOP, math.ceil(TOP_SHARE * len(finished))))
            judged = [number for number in top["number"] if number in values.index]
            row["eventual best"] = len(judged)
            row["stopped if last"] = sum(_would_stop(values, number, budget) for number in judged)
    return row


def _cut(values: pd.Series, budget: Budget) -> float | None:
    """Return the worst value at a rung that continues; None where none does."""
    if not budget.promotes:
        return float(values.quantile(1 / budget.reduction_factor))
    best = values.nsmallest(len(values) // budget.reduction_factor)
    return None if best.empty else float(best.iloc[-1])


def _would_stop(values: pd.Series, number: int, budget: Budget) -> bool:
    """Return whether ASHA would stop or pause a trial if it were the last at a rung."""
    if not budget.promotes:
        others = values.drop(number)
        return bool(values[number] > others.quantile(1 / budget.reduction_factor))
    return int((values < values[number]).sum()) >= len(values) // budget.reduction_factor


def _within(run: LoadedRun) -> str:
    """Return " of their `unit`" if trials are compared within units, otherwise an empty text."""
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
        f"ASHA saved {format_seconds(saved)} of worker time, {share:.0%} of what these trials "
        f"would have taken without it. This counts the remaining epochs of "
        f"{counted(num_pruned, 'pruned trial')}, at each trial's own seconds per epoch. It "
        f"assumes that all of them would have been trained, although patience may have ended "
        f"some trials earlier"
    )
    if finished.empty:
        return f"{lines}."
    ran = finished["epochs_run"].sum() / finished["epochs"].sum()
    return f"{lines}: finished trials with patience ran {ran:.0%} of their epochs."


def _reading(budget: Budget, within: str) -> str:
    if budget.promotes:
        last = (
            "had they arrived last, they would have paused there (but baselines and the base "
            "always pass)"
        )
    else:
        last = (
            "had they arrived last, ASHA would have stopped them (but it lets early trials pass, "
            "and always baselines and the base)"
        )
    groups = f"Each trial is compared only with those{within}; each row is one such group.\n\n"
    return (
        f"{groups if within else ''}"
        f"`rank correlation` is Spearman's, between a trial's best score at the rung and its "
        f"final best, over the trials that were trained from there to their end. These are "
        f"baselines and the base, which always pass, and the trials that ASHA let pass here and "
        f"at every later rung. A low value means that the rung could not rank the trials that "
        f"passed. A high value does not mean that ASHA stopped the right ones, because those were "
        f"not trained further. Selection narrows the field, which lowers the correlation; the "
        f"final best includes the epochs before the rung, which raises it.\n\n"
        f"`eventual best` counts the trials that reached the rung among the best tenth of the "
        f"finished trials (at least {MIN_TOP}). `stopped if last` counts those of them that lie "
        f"outside the best 1 in {budget.reduction_factor} at the rung: "
        f"{last}. `cut` is the rung's threshold at the end of the search. Other losses cannot be "
        f"measured in a search that stops trials. Figures based on fewer than {MIN_TRIALS} "
        f"trials are not shown."
    )
