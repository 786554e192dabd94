"""Which trials are trained anew in the end, how long that takes, and what is kept for it."""

from collections.abc import Iterable

from model.letter_score import scoring_seconds
from tune.records import TrialRecord
from tune.study import Study

RESERVED_SHARE = 0.3
"""Finalists may take so much of a time budget; if they need more, none is trained."""


def choose(records: Iterable[TrialRecord], num_best: int) -> list[TrialRecord]:
    """Return the best trials and all baselines that were measured, best first."""
    measured = [record for record in records if record.best is not None]
    ordered = sorted(measured, key=lambda record: (record.objective, record.number))
    best = ordered[:num_best]
    return best + [record for record in ordered[num_best:] if record.baseline]


def estimated_seconds(study: Study, records: Iterable[TrialRecord], concurrent: int) -> float:
    """Return how long the finalists would take, were they chosen now."""
    chosen = choose(records, study.num_finalists)
    epochs = [record.epochs[-1] for record in chosen]
    seconds = [
        epoch.elapsed_seconds / epoch.epoch * record.config.epochs
        for record, epoch in zip(chosen, epochs, strict=True)
    ]
    if not seconds:
        return 0.0
    # The last to end runs alone; scoring is one network after the other.
    training = study.num_finalist_seeds * sum(seconds) / concurrent + max(seconds)
    return training + sum(
        scoring_seconds_of(study, record, with_trend=seed_number == 0)
        for record in chosen
        for seed_number in range(study.num_finalist_seeds)
    )


def scoring_seconds_of(study: Study, record: TrialRecord, *, with_trend: bool) -> float:
    """Return how long it takes to score a network of this configuration."""
    test = study.prepared.encoded[record.config.cleaning].test
    return scoring_seconds(
        record.config,
        record.num_parameters or 0,
        num_chars=len(test),
        with_trend=with_trend,
    )


def reserved_seconds(study: Study, records: Iterable[TrialRecord], concurrent: int) -> float:
    """Return what the search leaves of its time budget for the finalists."""
    budget = study.space.budget.time_budget_seconds
    if budget is None or not study.wants_finalists:
        return 0.0
    seconds = estimated_seconds(study, records, concurrent)
    return seconds if seconds <= RESERVED_SHARE * budget else 0.0
