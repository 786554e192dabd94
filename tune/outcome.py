"""What a trial says of itself in each report, and is told: words that worker and driver share."""

import enum

RUNNING_BEST = "running_best_bits_per_char"
"""Report key: the lowest val_bits_per_char of the trial so far; ASHA and Optuna look at it."""

MEMORY_BY_ESTIMATE = "memory_by_estimate"
"""Report key: the trial's peak of memory so far, as a multiple of what was estimated."""
MEMORY_EXCESS = "memory_excess"
"""Proposal key, the other way: the highest of these multiples that is known, at least 1."""


class Outcome(enum.StrEnum):
    """Where a trial stands after a report, as the trial itself sees it."""

    TRAINING = "TRAINING"
    """More epochs are to come; if this is the last report, somebody stopped the trial."""
    FINISHED = "FINISHED"
    """All its epochs are trained."""
    DIVERGED = "DIVERGED"
    """Its loss became NaN or infinite; the report carries no metrics."""
    FAILED = "FAILED"
    """It raised an error, which follows; the report carries no metrics."""
