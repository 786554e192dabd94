"""Which trials are trained anew in the end, how long that takes, and what is kept for it."""

from collections.abc import Collection, Iterable

from tune.records import TrialRecord
from tune.study import Study

RESERVED_SHARE = 0.3
"""Finalists may take so much of a time budget; if they need more, none is trained."""

LATE_SHARE = 0.1
"""Finalists are begun where they are estimated to take so much more than the time left."""


def choose(records: Iterable[TrialRecord], num_best: int) -> list[TrialRecord]:
    """Return the best trials and all baselines that were measured, best first."""
    measured = [record for record in records if record.best is not None]
    ordered = sorted(measured, key=lambda record: (record.objective, record.number))
    best = ordered[:num_best]
    return best + [record for record in ordered[num_best:] if record.baseline]


def estimated_seconds(records: Collection[TrialRecord], concurrent: int) -> float:
    """Return how long it would take to train all these anew, so many at once."""
    seconds = [
        record.epochs[-1].elapsed_seconds / record.epochs[-1].epoch * record.config.epochs
        for record in records
    ]
    # The last to end runs alone.
    return sum(seconds) / concurrent + max(seconds) if seconds else 0.0


def fits(seconds: float, seconds_left: float | None) -> bool:
    """Return whether finalists that are estimated to take so long should be begun.

    The search ends when as much is left as they need, its running trials an epoch later:
    what is a little too late must do.
    """
    return seconds_left is None or seconds <= seconds_left * (1 + LATE_SHARE)


def reserved_seconds(study: Study, records: Iterable[TrialRecord], concurrent: int) -> float:
    """Return what the search leaves of its time budget for the finalists."""
    budget = study.space.budget.time_budget_seconds
    if budget is None or not study.wants_finalists:
        return 0.0
    chosen = choose(records, study.num_finalists)
    seconds = estimated_seconds(chosen * study.num_finalist_seeds, concurrent)
    return seconds if seconds <= RESERVED_SHARE * budget else 0.0
