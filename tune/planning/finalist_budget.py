"""Which trials are retrained at the end, how long that takes, and what is kept for it.

How many trainings there are follows from the room. The winner's first two tell how lucky it was
and what noise is; two of the best baseline follow, then one of each finalist, then their others.
The winner's two are trained also where there is no room for their second scores: bits per letter
and learning on.
"""

import bisect
import heapq
import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from model.config import TrialConfig
from model.scoring.dynamic import dynamic_seconds
from model.scoring.letters import scoring_seconds
from model.scoring.second_judge import judged_by_letters
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
    """Return the best trials and all baselines that were trained, best first.

    A baseline that was not trained to its end is none, for want of time, by hand or because it
    failed: it would take longer than it had, or fail again. Of trials of one configuration, whose
    seeds alone differ, the best stands for all.

    Args:
        records: The trials.
        num_best: Number of the best, at least 1; the number of groups where those are more.
        group: What trials share that are compared with each other: the best of each is chosen.
    """
    trained = (
        record
        for record in records
        if record.best is not None and (not record.baseline or record.status is Status.COMPLETE)
    )
    measured = _best_of_each(trained, configuration)
    best = _best_of_each(measured, group)
    chosen = {record.number for record in best}
    others = (record for record in measured if record.number not in chosen)
    # Not sorted whole: a search asks every other second, of thousands.
    best += heapq.nsmallest(num_best - len(best), others, key=_rank_key)
    chosen = {record.number for record in best}
    baselines = (record for record in measured if record.baseline and record.number not in chosen)
    return sorted(best, key=_rank_key) + sorted(baselines, key=_rank_key)


def _best_of_each(
    records: Iterable[TrialRecord], key: Callable[[TrialConfig], tuple[Any, ...]]
) -> list[TrialRecord]:
    """Return the best of the trials whose configurations have the same key, for each key."""
    best: dict[tuple[Any, ...], TrialRecord] = {}
    for record in records:
        value = key(record.config)
        best[value] = min(best.get(value, record), record, key=_rank_key)
    return list(best.values())


class FinalistTimes(NamedTuple):
    """How long the first training of the finalists takes, the first two, and so on.

    Attributes:
        seconds: With all their scores.
        trained_seconds: Without their second scores.
        num_of_winner: How many of the first are those of the winner that tell the noise.
    """

    seconds: Sequence[float]
    trained_seconds: Sequence[float]
    num_of_winner: int

    def reserved(self, budget_seconds: float) -> tuple[int, float]:
        """Return for how many trainings time is kept free, and how much.

        Args:
            budget_seconds: The time budget.
        """
        num = bisect.bisect_right(self.seconds, RESERVED_SHARE * budget_seconds)
        winner = self._of_winner(WINNER_SHARE * budget_seconds)
        if winner > num:
            return winner, self.trained_seconds[winner - 1]
        return num, self.seconds[num - 1] if num else 0.0

    def begun(self, seconds_left: float | None, *, least: int = 0) -> int:
        """Return how many of the first trainings are begun.

        Args:
            seconds_left: What is left of the time budget; None is without limit.
            least: How many are begun while anything is left: time was kept for them, and the
                search ended later than was thought.
        """
        if seconds_left is None:
            return len(self.seconds)
        limit = seconds_left * (1 + LATE_SHARE)
        num = max(bisect.bisect_right(self.seconds, limit), self._of_winner(limit))
        return max(num, least if seconds_left > 0 else 0)

    def _of_winner(self, limit: float) -> int:
        return bisect.bisect_right(self.trained_seconds[: self.num_of_winner], limit)


def estimated_times(
    study: Study,
    trainings: Collection[tuple[TrialRecord, int]],
    chosen: Sequence[TrialRecord],
    concurrent: int,
    begun: Mapping[int, TrialRecord],
) -> FinalistTimes:
    """Return how long the first training, the first two, … take, if Ray keeps their order.

    Args:
        study: The study.
        trainings: Of `left_to_train`, in its order: the trial, and the number of the seed.
        chosen: The finalists, best first.
        concurrent: How many at once.
        begun: The trainings so far, by their keys: one that was cut off goes on.
    """
    keys = [finalist_key(record.number, number) for record, number in trainings]
    done = [begun[key].epochs_run if key in begun else 0 for key in keys]
    places = judged_by_letters([record.config for record in chosen])
    has_letters = {chosen[place].number for place in places}
    return times_of(
        [
            record.epoch_seconds * (record.config.epochs - epochs)
            for (record, _), epochs in zip(trainings, done, strict=True)
        ],
        [
            scoring_seconds_of(study, record.config, record.num_parameters or 0, number == 0)
            if record.number in has_letters
            else 0.0
            for record, number in trainings
        ],
        [
            learning_seconds_of(study, record) if number == 0 else 0.0
            for record, number in trainings
        ],
        num_of_winner=sum(
            record is chosen[0] and number < WINNER_TRAININGS for record, number in trainings
        ),
        concurrent=concurrent,
    )


def times_of(
    training: Sequence[float],
    scoring: Sequence[float],
    learning: Sequence[float],
    *,
    num_of_winner: int,
    concurrent: int,
) -> FinalistTimes:
    """Return how long the first training, the first two, … take, if Ray keeps their order.

    Args:
        training: Seconds of each training.
        scoring: Of its network's letters, which begin when all are trained.
        learning: Of its dynamic evaluation if it should be the winner: the longest counts.
        num_of_winner: See FinalistTimes.
        concurrent: How many at once.
    """
    trained = list(itertools.accumulate(slot_ends(training, concurrent), max))
    scored = itertools.accumulate(slot_ends(scoring, concurrent), max)
    learnt = itertools.accumulate(learning, max)
    seconds = [sum(each) for each in zip(trained, scored, learnt, strict=True)]
    return FinalistTimes(seconds, trained, num_of_winner)


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


def scoring_seconds_of(
    study: Study, config: TrialConfig, num_parameters: int, with_trend: bool
) -> float:
    """Return how long the letters of a network take; 0 if it has none."""
    num_chars = len(study.prepared.encoded[config.cleaning].test.symbols)
    return scoring_seconds(config, num_parameters, num_chars=num_chars, with_trend=with_trend)


def learning_seconds_of(study: Study, record: TrialRecord) -> float:
    """Return how long dynamic evaluation of such a network takes; 0 where there is none."""
    config, prepared = record.config, study.prepared
    if config.regime != "stream":
        return 0.0
    is_bytes = config.unit == "byte"
    # Words are fewer than characters.
    corpus = prepared.streams(config) if is_bytes else prepared.encoded[config.cleaning]
    return dynamic_seconds(record.num_parameters or 0, num_symbols=len(corpus.test.symbols))


def left_to_train(
    study: Study, chosen: Sequence[TrialRecord], begun: Mapping[int, TrialRecord]
) -> list[tuple[TrialRecord, int]]:
    """Return the trainings that are not done yet: the trial and the seed's number, in order.

    Args:
        study: The study.
        chosen: The finalists, best first.
        begun: The trainings so far, by their keys.
    """
    trained = {key for key, record in begun.items() if record.has_ended}
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
    study: Study,
    records: Iterable[TrialRecord],
    concurrent: int,
    begun: Mapping[int, TrialRecord] | None = None,
) -> float:
    """Return what the search leaves of its time budget for the finalists and for its own end.

    Args:
        study: The study.
        records: Its trials.
        concurrent: How many train at once.
        begun: The finalists' trainings of earlier sessions, by their keys; None is none.
    """
    budget = study.space.budget.time_budget_seconds
    if budget is None or not study.reserves_time:
        return 0.0
    records, begun = list(records), begun or {}
    chosen = choose(records, study.settings.finalists, study.space.budget.group)
    trainings = left_to_train(study, chosen, begun)
    num, seconds = estimated_times(study, trainings, chosen, concurrent, begun).reserved(budget)
    return seconds + _ending_seconds(records) if num else 0.0


def _ending_seconds(records: Collection[TrialRecord]) -> float:
    """Return what passes between the order to end and the search's end.

    Running trials end with a report; then tables and page are written.
    """
    until_reports = [
        record.report_seconds
        for record in records
        if record.status == Status.RUNNING and record.epochs
    ]
    return (
        max(until_reports, default=0.0) + WRITING_SECONDS + WRITING_SECONDS_A_TRIAL * len(records)
    )


def _rank_key(record: TrialRecord) -> tuple[float, int]:
    return record.objective, record.number
