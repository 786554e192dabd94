"""The learning rate over a run: warm-up, constant, late linear decay.

It is constant until the decay, so that ASHA's rungs compare trials in the same phase for as
long as the decay leaves; see DESIGN.md. Torch-free, for the scheduler and the plan.
"""

import math

from model.config import TrialConfig

WARM_UP_STEPS = 20
"""Optimiser steps in which the learning rate rises to its peak."""


def schedule_factor(step: int, *, num_steps: int, decay_fraction: float) -> float:
    """Return what the peak learning rate is multiplied by, 0 < factor <= 1.

    Args:
        step: Optimiser step, 0 <= step < num_steps.
        num_steps: Steps of the whole run.
        decay_fraction: Last share of the steps in which the factor falls towards 0.
    """
    warm_up = min(1.0, (step + 1) / min(WARM_UP_STEPS, num_steps))
    decay_steps = max(1.0, decay_fraction * num_steps)
    return warm_up * min(1.0, (num_steps - step) / decay_steps)


def peak_learning_rate(config: TrialConfig) -> float:
    """Return the step size that a configuration's optimiser has at its highest."""
    return config.sgd_learning_rate if config.optimizer == "asgd" else config.learning_rate


def scheduled_decay_fraction(config: TrialConfig) -> float:
    """Return the last share of the steps in which the learning rate falls.

    With asgd it does not: there the weights' mean takes the place of smaller steps.
    """
    return 0.0 if config.optimizer == "asgd" else config.decay_fraction


def training_is_over(config: TrialConfig, *, report: int, best_report: int) -> bool:
    """Return whether a run ends after a report: by its epochs, or by its patience.

    The window regime has no patience: the reference had none. With asgd it begins with the mean of
    the weights, which is better than all before: scores of a constant step size come to rest.

    Args:
        config: The configuration.
        report: The last, from 1.
        best_report: The one with the lowest score so far.

    >>> training_is_over(TrialConfig(epochs=64, patience_epochs=8), report=9, best_report=1)
    True
    >>> training_is_over(TrialConfig(epochs=64, optimizer="asgd"), report=40, best_report=25)
    False
    """
    patience = config.patience_epochs if config.regime == "stream" else 0
    waited = report - (
        max(best_report, constant_reports(config)) if config.optimizer == "asgd" else best_report
    )
    return report >= config.num_reports or 0 < patience * config.reports_per_epoch <= waited


def constant_reports(config: TrialConfig) -> int:
    """Return how many reports a run gives before its learning rate begins to fall.

    >>> constant_reports(TrialConfig(epochs=8, decay_fraction=0.3))
    5
    """
    if config.regime == "window":
        return config.num_reports
    # 30 * (1 - 0.3) may lie a rounding error below 21.
    return math.floor(config.num_reports * (1 - config.decay_fraction) + 1e-9)
