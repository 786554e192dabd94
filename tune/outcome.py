"""What a trial says of itself in each report, and is told: words that worker and driver share."""

import enum

RUNNING_BEST = "running_best_bits_per_char"
"""Report key: the lowest val_bits_per_char of the trial so far; ASHA and Optuna look at it."""

PEAK_MEMORY, ESTIMATED_MEMORY = "peak_memory_bytes", "estimated_memory_bytes"
"""Report keys: the most that the trial's process has held so far, and what was expected."""
MEMORY_EXCESS = "memory_excess_bytes"
"""Proposal key, the other way: how many bytes trials have taken beyond their estimate."""


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
