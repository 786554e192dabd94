"""ASHA over reports that compares trials in the same phase; never stops a baseline or the base.

A trial's learning rate falls over the last `decay_fraction` of its own epochs, and its values
fall with it. Ray 2.60's AsyncHyperBandScheduler would compare a short trial in its decay with
long ones before theirs: the short one passes rungs that it should not, and its value stops
long ones that are better. Here values from a decay are compared with nobody's. A rung that lies
in a trial's decay is moved to the last report before it; there the trial is compared with all
others at that same report. Trials are compared by their running best, within the groups that
the budget names: words are ahead of characters after an epoch, and would stop them all.

Source: Li 2018, "A System for Massively Parallel Hyperparameter Tuning", arXiv:1810.05934,
section 3: a trial that is not among the best of its rung stops there; when it is, for others that
came later are worse, it is promoted: it goes on from its checkpoint where a worker is free. With
`Budget.promotes` false the variant that judges a trial once, when it comes to a rung, and has the
first there go on.
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
"""A group, and a report after which its trials are compared."""


class FairASHA(FIFOScheduler):
    """Decides at each rung whether a trial goes on, and which of those that stopped there do."""

    def __init__(
        self, budget: Budget, *, max_reports: int, base: TrialConfig | None = None
    ) -> None:
        """Begin without trials.

        Args:
            budget: The rungs.
            max_reports: The most reports of a trial.
            base: What the search starts from. Being the first at each rung, it would wait there
                for others to be worse: in a search of two minutes for the rest of it.
        """
        super().__init__()
        self._budget, self._max_reports = budget, max_reports
        self._base = None if base is None else _without_length(base)
        self._base_number: int | None = None
        # Rung to trial number to running best. Trials go by number: in the next session, and where
        # they are promoted, Ray gives them other ids.
        self._values: dict[Rung, dict[int, float]] = {}
        # Where, and with what. A worker may die while it saves that; the trial then comes again.
        self._stopped: dict[int, tuple[Rung, float]] = {}
        self._unstoppable: set[int] = set()  # by hand

    def replay(self, records: Collection[TrialRecord]) -> set[int]:
        """Learn the reports of earlier sessions, in the order they came in.

        Returns:
            The trials whose last report was their last at a rung: they are to be stopped.
        """
        of_number = {record.number: record for record in records}
        best = {record.number: record.running_best() for record in records}
        epochs = [epoch for record in records for epoch in record.epochs]
        for epoch in sorted(epochs, key=lambda epoch: epoch.search_seconds):
            record = of_number[epoch.number]
            value = best[record.number][epoch.report]
            self._judge(record.number, record.config, epoch.report, value, record.baseline)
        for number in list(self._stopped):
            if of_number[number].has_ended and of_number[number].status != Status.PRUNED:
                del self._stopped[number]  # it failed where it would have been stopped
        return set(self._stopped) - self._unstoppable

    def let_finish(self, number: int) -> None:
        """Stop a trial no more; where it has stopped, it is promoted next."""
        self._unstoppable.add(number)

    def on_trial_result(
        self, tune_controller: TuneController | None, trial: Trial, result: dict[str, Any]
    ) -> str:
        """Record a report and decide whether the trial goes on."""
        self._learn(trial, result)
        number = trial.config["number"]
        is_worse = number in self._stopped and number not in self._unstoppable
        stops = is_worse and RUNNING_BEST in result
        return str(TrialScheduler.STOP if stops else TrialScheduler.CONTINUE)

    def on_trial_complete(
        self, tune_controller: TuneController | None, trial: Trial, result: dict[str, Any]
    ) -> None:
        """Record the last report; Ray 2.60 calls this for a trial that was stopped here, too."""
        self._learn(trial, result)
        if result.get("outcome") != Outcome.TRAINING:  # it has ended by itself
            self._stopped.pop(trial.config["number"], None)

    def promoted(
        self,
        has_stopped: Callable[[int], bool],
        *,
        is_last: bool,
        has_time: Callable[[int], bool] = lambda number: True,
    ) -> int | None:
        """Return a trial that goes on from the rung where it stopped; None if none does.

        The highest rung comes first, then the best trial of it.

        Args:
            has_stopped: Returns whether a trial has ended where it was stopped: before, what it
                saves there is not whole.
            is_last: Whether no new trial will come: the share of the best at each rung that goes
                on is rounded up then.
            has_time: Returns whether there is time for the rest of a trial's training; not asked
                of one that a user lets finish.
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
        if RUNNING_BEST not in result:  # diverged or failed: it ends by itself
            return
        proposal = trial.config
        config = TrialConfig.from_dict(proposal["config"])
        values = result["report"], result[RUNNING_BEST], proposal["baseline"]
        self._judge(proposal["number"], config, *values)

    def _judge(
        self, number: int, config: TrialConfig, report: int, running_best: float, baseline: str
    ) -> None:
        """Record a value, and whether the trial stops after it."""
        rung = self._budget.group(config), report
        values = self._values.setdefault(rung, {})
        is_new = number not in values  # else it goes on from a checkpoint, and was judged here
        is_rung = report in self._budget.judged_reports(config, self._max_reports).values()
        # The first that is like the base; a proposal that differs in epochs alone is judged.
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
            del self._stopped[number]  # it went on

    def _is_among_the_best(
        self, number: int, value: float, rung: Rung, *, is_last: bool = False
    ) -> bool:
        """Return whether a trial is in the share of the best at a rung that goes on."""
        values, factor = self._values[rung], self._budget.reduction_factor
        others = [each for other, each in values.items() if other != number]
        if not self._budget.promotes:
            # 0.6 ms where 10,000 trials have been before.
            return not others or value <= float(np.quantile(others, 1 / factor))
        # A value from a decay counts for nobody: where all have one, none ever was among the best.
        waits = number in values and not is_last
        share = (len(others) + 1) / factor
        num_better = sum(each < value for each in others)
        return num_better < (math.floor(share) if waits else math.ceil(share))


def _without_length(config: TrialConfig) -> TrialConfig:
    return dataclasses.replace(config, epochs=1, seed=0, reports_per_epoch=1)
