"""Which trials are retrained at the end, how long that takes, and what is kept for it.

How many trainings there are follows from the room. The winner's first two tell how lucky it was
and what noise is; two of the best baseline follow, then one of each finalist, then their others.
"""

import bisect
import heapq
import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from model.config import TrialConfig
from model.scoring.dynamic import dynamic_seconds
from model.scoring.letters import scoring_seconds
from tune.planning.study import Study
from tune.records.finalist_table import finalist_key
from tune.records.trial import Status, TrialRecord, configuration

RESERVED_SHARE = 0.3
"""Share of a time budget that is kept for finalists: as many as fit into it."""
WINNER_TRAININGS, WINNER_SHARE = 2, 0.5
"""The winner's first trainings, which tell the noise, and the share that is kept for them at
most."""
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
    of_config: dict[object, TrialRecord] = {}
    for record in records:
        if record.best is not None:
            key = configuration(record.config)
            of_config[key] = min(of_config.get(key, record), record, key=_rank_key)
    measured = of_config.values()
    of_group: dict[tuple[Any, ...], TrialRecord] = {}
    for record in measured:
        key = group(record.config)
        of_group[key] = min(of_group.get(key, record), record, key=_rank_key)
    best = list(of_group.values())
    chosen = {record.number for record in best}
    others = (record for record in measured if record.number not in chosen)
    # Not sorted whole: a search asks every other second, of thousands.
    best += heapq.nsmallest(num_best - len(best), others, key=_rank_key)
    chosen = {record.number for record in best}
    baselines = (record for record in measured if record.baseline and record.number not in chosen)
    return sorted(best, key=_rank_key) + sorted(baselines, key=_rank_key)


def estimated_seconds(
    study: Study, trainings: Collection[tuple[TrialRecord, int]], concurrent: int
) -> list[float]:
    """Return how long the first training, the first two, … take, their scoring included.

    Args:
        study: The study.
        trainings: The trial, and the number of the seed that it is trained with, in order.
        concurrent: How many at once.
    """
    seconds = [record.epoch_seconds * record.config.epochs for record, _ in trainings]
    scoring = [
        scoring_seconds_of(study, record, with_trend=seed_number == 0)
        for record, seed_number in trainings
    ]
    learning = [
        dynamic_seconds(record.num_parameters or 0, num_symbols=_num_test_chars(study, record))
        if seed_number == 0 and record.config.regime == "stream"
        else 0.0
        for record, seed_number in trainings
    ]
    return together_seconds(seconds, scoring, learning, concurrent)


def together_seconds(
    seconds: Sequence[float], scoring: Sequence[float], learning: Sequence[float], concurrent: int
) -> list[float]:
    """Return how long the first training, the first two, … take, if Ray keeps their order.

    Args:
        seconds: Of each training.
        scoring: Of its network's scoring, which begins when all are trained.
        learning: Of its dynamic evaluation if it should be the winner: the longest counts.
        concurrent: How many at once.
    """
    parts = (slot_ends(seconds, concurrent), slot_ends(scoring, concurrent), learning)
    latest = (itertools.accumulate(part, max) for part in parts)
    return [sum(each) for each in zip(*latest, strict=True)]


def slot_ends(seconds: Iterable[float], concurrent: int) -> list[float]:
    """Return when each task ends, if each takes the first free slot.

    >>> slot_ends([3.0, 1.0, 1.0, 2.0], concurrent=2)
    [3.0, 1.0, 2.0, 4.0]
    """
    free = [0.0] * concurrent
    ends = []
    for task in seconds:
        end = heapq.heappop(free) + task
        heapq.heappush(free, end)
        ends.append(end)
    return ends


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


def num_of_winner(
    trainings: Sequence[tuple[TrialRecord, int]], chosen: Sequence[TrialRecord]
) -> int:
    """Return how many of the first trainings are those of the winner that tell the noise.

    Args:
        trainings: As from `left_to_train`.
        chosen: The finalists, best first.
    """
    are_its = (
        record is chosen[0] and seed_number < WINNER_TRAININGS for record, seed_number in trainings
    )
    return sum(itertools.takewhile(bool, are_its))


def num_reserved(seconds: Sequence[float], budget_seconds: float, of_winner: int) -> int:
    """Return for how many of the first trainings time is kept free.

    Args:
        seconds: What the first takes, the first two, and so on.
        budget_seconds: The time budget.
        of_winner: How many of the first are the winner's.
    """
    num = bisect.bisect_right(seconds, RESERVED_SHARE * budget_seconds)
    winner = bisect.bisect_right(seconds[:of_winner], WINNER_SHARE * budget_seconds)
    return max(num, winner)


def num_begun(seconds: Sequence[float], seconds_left: float | None, *, least: int = 0) -> int:
    """Return how many of the first trainings are begun.

    Args:
        seconds: What the first takes, the first two, and so on.
        seconds_left: What is left of the time budget; None is without limit.
        least: How many are begun while anything is left: time was kept for them, and the search
            ended later than was thought.
    """
    if seconds_left is None:
        return len(seconds)
    num = bisect.bisect_right(seconds, seconds_left * (1 + LATE_SHARE))
    return max(num, least if seconds_left > 0 else 0)


def ended_finalists(records: Mapping[int, TrialRecord]) -> set[int]:
    """Return the keys of the trainings that need not be done any more."""
    return {key for key, record in records.items() if record.has_ended}


def left_to_train(
    study: Study, chosen: Sequence[TrialRecord], trained: Collection[int]
) -> list[tuple[TrialRecord, int]]:
    """Return the trainings that are not done yet: the trial and the seed's number, in order.

    Args:
        study: The study.
        chosen: The finalists, best first.
        trained: The keys of those that are done.
    """
    baselines = sorted((record for record in chosen if record.baseline), key=_rank_key)
    places = training_order(
        len(chosen),
        study.settings.finalist_seeds,
        best_baseline=chosen.index(baselines[0]) if baselines else None,
    )
    return [
        (chosen[place], seed_number)
        for place, seed_number in places
        if finalist_key(chosen[place].number, seed_number) not in trained
    ]


def training_order(
    num_finalists: int, num_seeds: int, *, best_baseline: int | None
) -> list[tuple[int, int]]:
    """Return the trainings, the most telling first: a finalist's place and a seed's number.

    Args:
        num_finalists: Finalists, the winner at place 0.
        num_seeds: Seeds of each.
        best_baseline: The place of the best baseline; None without one.

    >>> training_order(3, 3, best_baseline=2)
    [(0, 0), (0, 1), (2, 0), (2, 1), (1, 0), (1, 1), (0, 2), (1, 2), (2, 2)]
    """
    everyone = [(place, seed) for seed in range(num_seeds) for place in range(num_finalists)]
    first = [place for place in (0, best_baseline) if place is not None]
    told = [(place, seed) for place in first for seed in range(min(num_seeds, WINNER_TRAININGS))]
    return list(dict.fromkeys([*told, *everyone] if num_finalists else []))


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
    num = num_reserved(seconds, budget, num_of_winner(trainings, chosen))
    return seconds[num - 1] + _ending_seconds(records) if num else 0.0


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


def _rank_key(record: TrialRecord) -> tuple[float, int]:
    return record.objective, record.number
