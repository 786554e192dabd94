"""ASHA over reports that compares trials in the same phase, and never stops a baseline.

A trial's learning rate falls over the last `decay_fraction` of its own epochs, and its values
fall with it. Ray 2.60's AsyncHyperBandScheduler would compare a short trial in its decay with
long ones before theirs: the short one passes rungs that it should not, and its value stops
long ones that are better. Here values from a decay are compared with nobody's. A rung that lies
in a trial's decay is moved to the last report before it; there the trial is compared with all
others at that same report. Trials are compared by their running best, within the groups that
the budget names: words are ahead of characters after an epoch, and would stop them all.

Source: Li 2018, "A System for Massively Parallel Hyperparameter Tuning", arXiv:1810.05934, in
the variant that stops trials and never pauses them: the first of its group at a rung goes on.
"""

from collections.abc import Collection
from typing import Any

import numpy as np
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from model.config import TrialConfig
from model.training.schedule import constant_reports
from search_spaces import Budget
from tune.records.trial import RUNNING_BEST, TrialRecord


class FairASHA(FIFOScheduler):
    """Decides at each rung whether a trial goes on."""

    def __init__(self, budget: Budget, *, max_reports: int) -> None:
        super().__init__()
        self._budget, self._max_reports = budget, max_reports
        self._kept_share = 1 / budget.reduction_factor
        # Group and report to trial number to running best. Trials go by number: in the next
        # session Ray gives them other ids.
        self._values: dict[tuple[tuple[Any, ...], int], dict[int, float]] = {}
        # A worker may die while it saves what it was stopped at; the trial then comes again.
        self._stopped: set[int] = set()

    def replay(self, records: Collection[TrialRecord]) -> set[int]:
        """Learn the reports of earlier sessions, in the order they came in.

        Returns:
            The trials whose last report was their last at a rung: they are to be stopped.
        """
        stopped: set[int] = set()
        of_number = {record.number: record for record in records}
        best = {record.number: record.running_best() for record in records}
        epochs = [epoch for record in records for epoch in record.epochs]
        for epoch in sorted(epochs, key=lambda epoch: epoch.search_seconds):
            record = of_number[epoch.number]
            passes = self._judge(
                record.number, record.config, epoch.report, best[record.number][epoch.report]
            )
            stopped.discard(record.number)
            if not (passes or record.baseline):
                stopped.add(record.number)
        return stopped

    def on_trial_result(
        self, tune_controller: TuneController | None, trial: Trial, result: dict[str, Any]
    ) -> str:
        """Record a report and decide whether the trial goes on."""
        number = trial.config["number"]
        if not (self._learn(trial, result) or trial.config["baseline"]):
            self._stopped.add(number)
        stops = number in self._stopped and RUNNING_BEST in result
        return str(TrialScheduler.STOP if stops else TrialScheduler.CONTINUE)

    def on_trial_complete(
        self, tune_controller: TuneController | None, trial: Trial, result: dict[str, Any]
    ) -> None:
        """Record the last report."""
        self._learn(trial, result)

    def _learn(self, trial: Trial, result: dict[str, Any]) -> bool:
        if RUNNING_BEST not in result:  # diverged or failed: it ends by itself
            return True
        config = TrialConfig.from_dict(trial.config["config"])
        return self._judge(trial.config["number"], config, result["report"], result[RUNNING_BEST])

    def _judge(self, number: int, config: TrialConfig, report: int, running_best: float) -> bool:
        """Record a value, and return whether the trial may go on after it."""
        others = self._values.setdefault((self._budget.group(config), report), {})
        # Known already: it goes on from a checkpoint, and was judged here before.
        passes = bool(
            number in others
            or report not in self._budget.judged_reports(config, self._max_reports).values()
            or not others
            # 0.6 ms where 10,000 trials have been before.
            or running_best <= np.quantile(list(others.values()), self._kept_share)
        )
        if report <= constant_reports(config):
            others[number] = running_best
        return passes
