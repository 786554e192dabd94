"""ASHA over reports that compares trials in the same phase; never stops a baseline or the base.

A trial's learning rate falls over the last `decay_fraction` of its own epochs, and its values
fall with it. Ray 2.60's AsyncHyperBandScheduler would compare a short trial in its decay with
long ones before theirs: the short one would pass rungs that it should not, and its value would
stop better long ones. Here values from a decay are not compared. A rung within a trial's decay
moves to the last report before it; there the trial is compared with all others at the same report.
Trials are compared by their running best, within the groups that the budget names: words are ahead
of characters after an epoch, and would stop them all.

Source: Li 2018, "A System for Massively Parallel Hyperparameter Tuning", arXiv:1810.05934,
section 3: a trial that is not among the best of its rung stops there; once it is, because later
trials are worse, it is promoted: it continues from its checkpoint when a worker is free. If
`Budget.promotes` is false, the variant that judges a trial once, when it reaches a rung, and lets
the first one there continue.
"""

import dataclasses
import math
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from model.config import TrialConfig
from model.training.schedule import constant_reports
from search_spaces import Budget
from tune.records.trial import RUNNING_BEST, Outcome, Status, TrialRecord

Rung = tuple[tuple[Any, ...], int]
"""A group, and the report after which its trials are compared."""


class FairASHA(FIFOScheduler):
    """Decides at each rung whether a trial continues, and which of the stopped ones do later."""

    def __init__(
        self, budget: Budget, *, max_reports: int, base: TrialConfig | None = None
    ) -> None:
        """Begin without trials.

        Args:
            budget: The rungs.
            max_reports: The most reports of a trial.
            base: The search's base configuration. First at each rung, it would wait there until
                others are worse: in a search of two minutes, until the end.
        """
        super().__init__()
        self._budget, self._max_reports = budget, max_reports
        self._base = None if base is None else _without_length(base)
        self._base_number: int | None = None
        # Rung to trial number to running best. Trials are identified by number: in the next
        # session, or when they are promoted, Ray gives them other ids.
        self._values: dict[Rung, dict[int, float]] = {}
        # Number to rung and value. If the worker dies while it saves, the trial comes again.
        self._stopped: dict[int, tuple[Rung, float]] = {}
        self._unstoppable: set[int] = set()  # by hand

    def replay(self, records: Collection[TrialRecord]) -> set[int]:
        """Learn the reports of earlier sessions, in the order in which they came.

        Returns:
            The trials to stop: those whose last report was at the rung that stopped them.
        """
        of_number = {record.number: record for record in records}
        best = {record.number: record.running_best() for record in records}
        epochs = [epoch for record in records for epoch in record.epochs]
        for epoch in sorted(epochs, key=lambda epoch: epoch.search_seconds):
            record = of_number[epoch.number]
            value = best[record.number][epoch.report]
            self._judge(record.number, record.config, epoch.report, value, record.baseline)
        for record in records:
            # Which ended trials were stopped is in the history. Judged now, others might be: a
            # report that came twice has its second time, and some failed as they were stopped.
            if record.status == Status.PRUNED and record.epochs:
                report = record.epochs[-1].report
                rung = self._budget.group(record.config), report
                self._stopped[record.number] = rung, best[record.number][report]
            elif record.has_ended:
                self._stopped.pop(record.number, None)
        return set(self._stopped) - self._unstoppable

    def let_finish(self, number: int) -> None:
        """Never stop a trial again; if it has stopped, it is promoted next."""
        self._unstoppable.add(number)

    def on_trial_result(
        self, tune_controller: TuneController | None, trial: Trial, result: dict[str, Any]
    ) -> str:
        """Record a report and decide whether the trial continues."""
        self._learn(trial, result)
        number = trial.config["number"]
        is_worse = number in self._stopped and number not in self._unstoppable
        stops = is_worse and RUNNING_BEST in result
        return str(TrialScheduler.STOP if stops else TrialScheduler.CONTINUE)

    def on_trial_complete(
        self, tune_controller: TuneController | None, trial: Trial, result: dict[str, Any]
    ) -> None:
        """Record the last report; Ray 2.60 also calls this for a trial that was stopped here."""
        self._learn(trial, result)
        if result.get("outcome") != Outcome.TRAINING:  # it ended without ASHA
            self._stopped.pop(trial.config["number"], None)

    def promoted(
        self,
        has_stopped: Callable[[int], bool],
        *,
        is_last: bool,
        has_time: Callable[[int], bool] = lambda number: True,
    ) -> int | None:
        """Return a trial to continue from the rung where it stopped; None if there is none.

        The highest rung comes first, and its best trial.

        Args:
            has_stopped: Returns whether a stopped trial has ended; until then, its checkpoint may
                be incomplete.
            is_last: Whether no new trial will come; then the share of the best that continue from
                each rung is rounded up.
            has_time: Returns whether there is time for the rest of a trial's training; not called
                for one that a user lets finish.
        """
        if not self._budget.promotes:
            return None
        for number in sorted(self._unstoppable & self._stopped.keys()):
            if has_stopped(number):
                del self._stopped[number]
                return number
        best: dict[Rung, tuple[float, int]] = {}
        for number, (rung, value) in self._stopped.items():
            if has_stopped(number) and has_time(number):
                best[rung] = min(best.get(rung, (value, number)), (value, number))
        for rung in sorted(best, key=lambda rung: -rung[1]):
            value, number = best[rung]
            if self._is_among_the_best(number, value, rung, is_last=is_last):
                del self._stopped[number]
                return number
        return None

    def _learn(self, trial: Trial, result: dict[str, Any]) -> None:
        if RUNNING_BEST not in result:  # diverged or failed: it ends anyway
            return
        proposal = trial.config
        config = TrialConfig.from_dict(proposal["config"])
        values = result["report"], result[RUNNING_BEST], proposal["baseline"]
        self._judge(proposal["number"], config, *values)

    def _judge(
        self, number: int, config: TrialConfig, report: int, running_best: float, baseline: str
    ) -> None:
        """Record a value and whether the trial stops after it."""
        rung = self._budget.group(config), report
        values = self._values.setdefault(rung, {})
        is_new = number not in values  # else it was judged here, and resumed
        is_rung = report in self._budget.judged_reports(config, self._max_reports).values()
        # Only the first like the base is exempt; later ones that differ only in epochs are judged.
        if self._base_number is None and not baseline and _without_length(config) == self._base:
            self._base_number = number
        if report <= constant_reports(config):
            values[number] = running_best
        passes = True
        if is_new and is_rung and not baseline and number != self._base_number:
            passes = self._is_among_the_best(number, running_best, rung)
        if not passes:
            self._stopped[number] = rung, running_best
        elif number in self._stopped and self._stopped[number][0] != rung:
            del self._stopped[number]  # it continued

    def _is_among_the_best(
        self, number: int, value: float, rung: Rung, *, is_last: bool = False
    ) -> bool:
        """Return whether a trial is in the share of the best at a rung, which continues."""
        values, factor = self._values[rung], self._budget.reduction_factor
        others = [each for other, each in values.items() if other != number]
        if not self._budget.promotes:
            # 0.6 ms after 10,000 trials.
            return not others or value <= float(np.quantile(others, 1 / factor))
        # Values from a decay do not count: if all are, no trial was ever among the best.
        waits = number in values and not is_last
        share = (len(others) + 1) / factor
        num_better = sum(each < value for each in others)
        return num_better < (math.floor(share) if waits else math.ceil(share))


def _without_length(config: TrialConfig) -> TrialConfig:
    return dataclasses.replace(config, epochs=1, seed=0, reports_per_epoch=1)
