"""The learning rate over a run: warm-up, constant, late linear decay.

It is constant until the decay, so that ASHA's rungs before it compare trials in the same phase;
see DESIGN.md. Without torch, so that the scheduler and the plan can import it.
"""

import math

from model.config import TrialConfig

WARM_UP_STEPS = 20
"""Optimiser steps during which the learning rate rises to its peak."""


def schedule_factor(step: int, *, num_steps: int, decay_fraction: float) -> float:
    """Return the multiplier of the peak learning rate, 0 < factor <= 1.

    Args:
        step: Optimiser step, 0 <= step < num_steps.
        num_steps: Steps of the whole run.
        decay_fraction: Share of the steps, at the end, in which the factor falls towards 0.
    """
    warm_up = min(1.0, (step + 1) / min(WARM_UP_STEPS, num_steps))
    decay_steps = max(1.0, decay_fraction * num_steps)
    return warm_up * min(1.0, (num_steps - step) / decay_steps)


def peak_learning_rate(config: TrialConfig) -> float:
    """Return the highest step size of a configuration's optimiser."""
    return config.sgd_learning_rate if config.optimizer == "asgd" else config.learning_rate


def scheduled_decay_fraction(config: TrialConfig) -> float:
    """Return the share of the steps, at the end, in which the learning rate falls.

    With asgd it does not fall: averaging the weights replaces smaller steps.
    """
    return 0.0 if config.optimizer == "asgd" else config.decay_fraction


def training_is_over(config: TrialConfig, *, report: int, best_report: int) -> bool:
    """Return whether a run ends after a report, by its epochs or by its patience.

    The window regime has no patience, as in the reference. With asgd, patience starts when
    averaging does, which beats all earlier scores: those of a constant step size stall.

    Args:
        config: The configuration.
        report: The last report, counted from 1.
        best_report: The report with the lowest score so far.

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
    """Return the number of reports before a run's learning rate starts to fall.

    >>> constant_reports(TrialConfig(epochs=8, decay_fraction=0.3))
    5
    """
    if config.regime == "window":
        return config.num_reports
    # 30 * (1 - 0.3) may be a rounding error below 21.
    return math.floor(config.num_reports * (1 - config.decay_fraction) + 1e-9)
