"""Which trials are retrained at the end, how long that takes, and what is kept for it."""

import heapq
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from model.config import TrialConfig
from model.scoring.dynamic import dynamic_seconds
from model.scoring.letters import scoring_seconds
from tune.planning.study import Study
from tune.records.finalist_table import finalist_key
from tune.records.trial import Status, TrialRecord, configuration

RESERVED_SHARE = 0.3
"""Share of a time budget that is kept for finalists; if they need more, nothing is."""
LATE_SHARE = 0.1
"""Share of the time left by which the estimate of finalists that are begun may exceed it."""

WRITING_SECONDS, WRITING_SECONDS_A_TRIAL = 1.0, 0.001
"""Time to write tables and page, and its part for each trial: 11 s with 10,000 trials."""


def choose(
    records: Iterable[TrialRecord],
    num_best: int,
    group: Callable[[TrialConfig], tuple[Any, ...]] = lambda config: (),
) -> list[TrialRecord]:
    """Return the best trials and all baselines that were measured, best first.

    Of trials of one configuration, whose seeds alone differ, the best stands for all.

    Args:
        records: The trials.
        num_best: Number of the best, at least 1; the number of groups where those are more.
        group: What trials share that are compared with each other: the best of each is chosen.
    """

    def rank_key(record: TrialRecord) -> tuple[float, int]:
        return record.objective, record.number

    of_config: dict[object, TrialRecord] = {}
    for record in records:
        if record.best is not None:
            key = configuration(record.config)
            of_config[key] = min(of_config.get(key, record), record, key=rank_key)
    measured = of_config.values()
    of_group: dict[tuple[Any, ...], TrialRecord] = {}
    for record in measured:
        key = group(record.config)
        of_group[key] = min(of_group.get(key, record), record, key=rank_key)
    best = list(of_group.values())
    chosen = {record.number for record in best}
    others = (record for record in measured if record.number not in chosen)
    # Not sorted whole: a search asks every other second, of thousands.
    best += heapq.nsmallest(num_best - len(best), others, key=rank_key)
    chosen = {record.number for record in best}
    baselines = (record for record in measured if record.baseline and record.number not in chosen)
    return sorted(best, key=rank_key) + sorted(baselines, key=rank_key)


def estimated_seconds(
    study: Study, trainings: Collection[tuple[TrialRecord, int]], concurrent: int
) -> float:
    """Return how long it would take to retrain all these, `concurrent` at once, and to score them.

    Args:
        study: The study.
        trainings: The trial, and the number of the seed that it is trained with.
        concurrent: How many at once.
    """
    seconds = [record.epoch_seconds * record.config.epochs for record, _ in trainings]
    scoring = [
        scoring_seconds_of(study, record, with_trend=seed_number == 0)
        for record, seed_number in trainings
    ]
    learning = [
        dynamic_seconds(record.num_parameters or 0, num_symbols=_num_test_chars(study, record))
        for record, seed_number in trainings
        if seed_number == 0 and record.config.regime == "stream"
    ]  # of one of them
    return (
        spread_seconds(seconds, concurrent)
        + spread_seconds(scoring, concurrent)
        + max(learning, default=0.0)
    )


def spread_seconds(seconds: Collection[float], concurrent: int) -> float:
    """Return the most time that tasks take, `concurrent` at once: the longest may begin last.

    The bound is Graham's (1969).
    """
    return sum(seconds) / concurrent + max(seconds, default=0.0) * (1 - 1 / concurrent)


def scoring_seconds_of(study: Study, record: TrialRecord, *, with_trend: bool) -> float:
    """Return how long it takes to score a network of this configuration."""
    return scoring_seconds(
        record.config,
        record.num_parameters or 0,
        num_chars=_num_test_chars(study, record),
        with_trend=with_trend,
    )


def _num_test_chars(study: Study, record: TrialRecord) -> int:
    return len(study.prepared.encoded[record.config.cleaning].test)


def fits(seconds: float, seconds_left: float | None, *, was_reserved: bool) -> bool:
    """Return whether finalists should be begun.

    Args:
        seconds: Their estimate.
        seconds_left: What is left of the time budget; None is without limit.
        was_reserved: Whether the search ended early for them. Then they are begun also where it
            ended later than was thought: each is trained once before any is trained again.
    """
    if seconds_left is None:
        return True
    return (was_reserved and seconds_left > 0) or seconds <= seconds_left * (1 + LATE_SHARE)


def ended_finalists(records: Mapping[int, TrialRecord]) -> set[int]:
    """Return the keys of the trainings that need not be done any more."""
    return {key for key, record in records.items() if record.has_ended}


def left_to_train(
    study: Study, chosen: Collection[TrialRecord], trained: Collection[int]
) -> list[tuple[TrialRecord, int]]:
    """Return the trainings that are not done yet: the trial and the seed's number.

    Args:
        study: The study.
        chosen: The finalists.
        trained: The keys of those that are done.
    """
    return [
        (record, seed_number)
        for seed_number in range(study.settings.finalist_seeds)  # every finalist once, then again
        for record in chosen
        if finalist_key(record.number, seed_number) not in trained
    ]


def reserved_seconds(
    study: Study, records: Iterable[TrialRecord], concurrent: int, trained: Collection[int] = ()
) -> float:
    """Return what the search leaves of its time budget for the finalists and for its own end.

    Args:
        study: The study.
        records: Its trials.
        concurrent: How many train at once.
        trained: The keys of the finalists' trainings that an earlier session did.
    """
    budget = study.space.budget.time_budget_seconds
    if budget is None or not study.wants_finalists:
        return 0.0
    records = list(records)
    chosen = choose(records, study.settings.finalists, study.space.budget.group)
    trainings = left_to_train(study, chosen, trained)
    seconds = estimated_seconds(study, trainings, concurrent)
    if not trainings or seconds > RESERVED_SHARE * budget:
        return 0.0
    return seconds + _ending_seconds(records)


def _ending_seconds(records: Collection[TrialRecord]) -> float:
    """Return what passes between the order to end and the search's end.

    Running trials end with their epoch; then tables and page are written.
    """
    epochs = [
        record.epoch_seconds
        for record in records
        if record.status == Status.RUNNING and record.epochs
    ]
    return max(epochs, default=0.0) + WRITING_SECONDS + WRITING_SECONDS_A_TRIAL * len(records)
