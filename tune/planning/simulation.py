"""Simulates a search many times, to see how long it takes.

A trial goes on from a rung by chance, and the next one takes the first free slot.
Assumed: one in reduction_factor goes on, as ASHA is built. Where trials are judged once, when they
come to a rung, for the long end as many as the square root of that, 58 % for a third: a sampler
that learns proposes better and better trials. In results/reference, of the proposed trials 52, 72
and 71 % went on so from the first three rungs of `full`, 66, 77 and 78 % of `extended`; only the
first is less. Trials that are compared within groups are taken to go on as often. Baselines,
starts and finalists are trained in full; patience only makes a search shorter.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tune.planning.finalist_budget import (
    WINNER_TRAININGS,
    FinalistTimes,
    slot_ends,
    times_of,
    training_order,
)
from tune.planning.study import NOTHING_SPENT, Spent, Study

SIMULATIONS = 100
SIMULATED_TRIALS = 100_000
"""In all of them together: the more trials a search has, the less its time hangs on chance."""
MIN_SIMULATIONS = 10
ENDS = (0.05, 0.95)
"""Shares of the simulated searches that are shorter than the ends of the range."""
ERROR = 1.25
"""How many times longer or shorter than timed all trials together may be."""


@dataclasses.dataclass(frozen=True, slots=True)
class Training:
    """A training in full: its reports, and the seconds between two.

    Attributes:
        reports: How many.
        report_seconds: What each takes.
        scoring_seconds: What the test passage takes if it is a finalist, for each of its seeds.
        is_baseline: Whether it is one.
        is_whole: Whether all its epochs are trained; a baseline without is no finalist.
    """

    reports: int
    report_seconds: float
    scoring_seconds: tuple[float, ...] = ()
    is_baseline: bool = False
    is_whole: bool = True

    @property
    def seconds(self) -> float:
        """What all of it takes."""
        return self.reports * self.report_seconds


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a search is going to take, from low to high.

    Attributes:
        seconds: Of the whole search, its earlier sessions and the finalists included, within its
            time budget.
        num_trials: Trials that end in that time.
        num_confirmations: Trainings of finalists for which there is time.
        reserved_seconds: What the search leaves them of its time budget; without one, what all
            of them take.
    """

    seconds: tuple[float, float]
    num_trials: tuple[int, int]
    num_confirmations: tuple[int, int]
    reserved_seconds: tuple[float, float] = (0.0, 0.0)


class Simulated(NamedTuple):
    """One simulated search."""

    seconds: float
    num_ended: int
    num_confirmations: int
    reserved_seconds: float


def simulate(
    study: Study,
    first: Sequence[Training],
    drawn: Sequence[Training],
    *,
    concurrent: int,
    before: Spent = NOTHING_SPENT,
) -> Plan:
    """Return the range of what many simulated searches took.

    Args:
        study: Its budget, seed and finalists.
        first: The trials that run first and are not stopped at rungs, in their order.
        drawn: Trials as the space gives them at random; may be empty if `first` are all.
        concurrent: Trials at once.
        before: What is done already.
    """
    factor = study.space.budget.reduction_factor
    stops = [*study.space.budget.rungs(study.space.max_reports), math.inf]
    times = min(SIMULATIONS, max(MIN_SIMULATIONS, SIMULATED_TRIALS // study.num_trials))
    generator = np.random.Generator(np.random.PCG64(study.settings.seed))
    # A trial that waits at its rung is compared with all that come there: no more go on.
    most = 1 / factor if study.space.budget.promotes else factor**-0.5
    short, long = (
        [
            _simulate_once(
                study, first, drawn, concurrent, before, stops, goes_on, error, generator
            )
            for _ in range(times)
        ]
        for goes_on, error in ((1 / factor, 1 / ERROR), (most, ERROR))
    )
    low, high = ENDS
    ends = (
        float(np.quantile([each.seconds for each in short], low)),
        float(np.quantile([each.seconds for each in long], high)),
    )
    confirmations = (
        int(np.quantile([each.num_confirmations for each in long], low)),
        int(np.quantile([each.num_confirmations for each in short], high)),
    )
    reserved = [each.reserved_seconds for each in (*short, *long)]
    return Plan(
        # The short end may have room for more finalists and so be the longer one.
        seconds=(min(ends), max(ends)),
        num_trials=(
            int(np.quantile([each.num_ended for each in long], low)),
            int(np.quantile([each.num_ended for each in short], high)),
        ),
        num_confirmations=(min(confirmations), max(confirmations)),
        reserved_seconds=(float(np.quantile(reserved, low)), float(np.quantile(reserved, high))),
    )


def _simulate_once(
    study: Study,
    first: Sequence[Training],
    drawn: Sequence[Training],
    concurrent: int,
    before: Spent,
    stops: Sequence[float],
    goes_on: float,
    error: float,
    generator: np.random.Generator,
) -> Simulated:
    """Simulate one search.

    A trial stops at one of `stops`, in reports, the last of which is infinity. It passes each of
    the others with the chance `goes_on`, in (0, 1); all seconds are multiplied by `error`. The
    rest is as for `simulate`.
    """
    num_trials = before.num_ended if before.is_over else study.num_trials
    left = first[before.num_ended : num_trials]
    # More than were asked for may have ended: a user adds trials to a search.
    num_others = max(0, num_trials - max(before.num_ended, len(first)))
    others = [drawn[i] for i in generator.integers(max(1, len(drawn)), size=num_others)]
    num_passed = (generator.geometric(1 - goes_on, size=num_others) - 1).clip(max=len(stops) - 1)
    trials = [training.seconds for training in left] + [
        min(stops[passed], training.reports) * training.report_seconds
        for training, passed in zip(others, num_passed, strict=True)
    ]
    ends = slot_ends([error * seconds for seconds in trials], concurrent)
    limit = study.space.budget.time_budget_seconds or math.inf
    again = _again(study, first, others, drawn, concurrent, error, before)
    num_kept, kept_free = again.reserved(limit) if before.seconds < limit else (0, 0.0)
    seconds = before.seconds + max(ends, default=0.0)
    seconds = max(before.seconds, min(seconds, limit - kept_free))
    # Those without time kept free for them are trained in what the search happens to leave.
    num_confirmations = max(num_kept, again.begun(limit - seconds))
    scored = 0.0
    if num_confirmations:
        whole, bare = (each[num_confirmations - 1] for each in again[:2])
        scored = max(bare, min(whole, limit - seconds))  # second scores as far as there is room
    return Simulated(
        seconds=seconds + scored,
        num_ended=before.num_ended
        + sum(before.seconds + end <= limit - kept_free for end in ends),
        num_confirmations=num_confirmations,
        reserved_seconds=kept_free,
    )


def _again(
    study: Study,
    first: Sequence[Training],
    others: Sequence[Training],
    drawn: Sequence[Training],
    concurrent: int,
    error: float,
    before: Spent,
) -> FinalistTimes:
    """Return how long the finalists' trainings take, those that are left.

    Args:
        study: Its finalists.
        first: The trials that run first.
        others: Those that follow, whose first are taken for the best.
        drawn: What stands for the best where those are too few.
        concurrent: Trials at once.
        error: What all seconds are multiplied by.
        before: What is done already.
    """
    if not study.wants_finalists:
        return FinalistTimes((), (), 0)
    baselines = [training for training in first if training.is_baseline and training.is_whole]
    starts = [training for training in first if not training.is_baseline]
    num_best = max(study.settings.finalists, len(study.space.groups()))
    best = [*others, *starts, *drawn][:num_best]
    chosen = [*best, *baselines]
    order = training_order(
        len(chosen),
        study.settings.finalist_seeds,
        best_baseline=len(best) if baselines else None,
    )[before.num_finalist_trainings :]
    of_winner = min(WINNER_TRAININGS, study.settings.finalist_seeds)
    return times_of(
        [error * chosen[place].seconds for place, _ in order],
        [error * chosen[place].scoring_seconds[seed] for place, seed in order],
        [0.0] * len(order),
        num_of_winner=max(0, of_winner - before.num_finalist_trainings),
        concurrent=concurrent,
    )
