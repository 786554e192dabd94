"""ASHA over epochs, on each trial's running best; baselines are measured but never stopped.

Source: Li 2018, "A System for Massively Parallel Hyperparameter Tuning", arXiv:1810.05934.
Ray's scheduler is the stopping variant: the first trial at a rung always goes on.
"""

from typing import Any

from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from search_spaces import Budget
from tune.outcome import RUNNING_BEST


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

    def on_trial_result(
        self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]
    ) -> str:
        """Record the result at its rung and decide whether the trial goes on."""
        decision: str = super().on_trial_result(tune_controller, trial, result)
        continues: str = TrialScheduler.CONTINUE
        return continues if trial.config["baseline"] else decision
