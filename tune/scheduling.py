"""ASHA over epochs, on each trial's running best; baselines are measured but never stopped.

Source: Li 2018, "A System for Massively Parallel Hyperparameter Tuning", arXiv:1810.05934.
Ray's scheduler is the stopping variant: the first trial at a rung always goes on.
"""

from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from search_spaces import Budget
from tune.outcome import RUNNING_BEST
from tune.records import TrialRecord


class BaselineAwareASHA(AsyncHyperBandScheduler):
    """ASHA that never stops a baseline; a baseline's curve still counts at the rungs."""

    def __init__(self, budget: Budget, *, max_epochs: int) -> None:
        super().__init__(
            time_attr="epoch",
            metric=RUNNING_BEST,
            mode="min",
            # Trials end themselves: ASHA must not end one for reaching max_t.
            stop_last_trials=False,
            max_t=max(max_epochs, budget.grace_period_epochs),
            grace_period=budget.grace_period_epochs,
            reduction_factor=budget.reduction_factor,
        )

    def replay(self, records: Collection[TrialRecord]) -> set[int]:
        """Fill the rungs with the epochs of earlier sessions, in the order they came in.

        Returns:
            The trials whose last epoch was their last at a rung: they are to be stopped.
        """
        stopped: set[int] = set()
        stand_ins = {record.number: _stand_in(record) for record in records}
        for trial in stand_ins.values():
            self.on_trial_add(None, trial)
        best = {record.number: record.running_best() for record in records}
        epochs = [epoch for record in records for epoch in record.epochs]
        for epoch in sorted(epochs, key=lambda epoch: epoch.search_seconds):
            number = epoch.number
            result = {"epoch": epoch.epoch, RUNNING_BEST: best[number][epoch.epoch]}
            decision = self.on_trial_result(None, stand_ins[number], result)
            stopped.discard(number)
            if decision == TrialScheduler.STOP:
                stopped.add(number)
        return stopped

    def on_trial_add(self, tune_controller: TuneController | None, trial: Trial) -> None:
        """Know a trial by its number: in the next session Ray gives it another id."""
        super().on_trial_add(tune_controller, _by_number(trial))

    def on_trial_result(
        self, tune_controller: TuneController | None, trial: Trial, result: dict[str, Any]
    ) -> str:
        """Record the result at its rung and decide whether the trial goes on."""
        decision: str = super().on_trial_result(tune_controller, _by_number(trial), result)
        continues: str = TrialScheduler.CONTINUE
        return continues if trial.config["baseline"] else decision

    def on_trial_complete(
        self, tune_controller: TuneController | None, trial: Trial, result: dict[str, Any]
    ) -> None:
        """Record the last result."""
        super().on_trial_complete(tune_controller, _by_number(trial), result)

    def on_trial_remove(self, tune_controller: TuneController | None, trial: Trial) -> None:
        """Forget a trial."""
        super().on_trial_remove(tune_controller, _by_number(trial))


def _by_number(trial: Any) -> Any:
    """Return what the rungs see of a trial: a name that is the same in every session."""
    return SimpleNamespace(trial_id=trial.config["number"])


def _stand_in(record: TrialRecord) -> Any:
    return SimpleNamespace(config={"number": record.number, "baseline": record.baseline})
