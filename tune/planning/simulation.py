"""Simulates a search many times to estimate how long it takes.

A trial passes a rung at random, and the next trial takes the first free slot. One in
reduction_factor passes, as ASHA intends. If trials are judged only once, on reaching a rung, the
long end assumes the square root of that share (58 % for a third), because a sampler that learns
proposes better and better trials. In results/reference, 52, 72 and 71 % of the proposed trials
passed the first three rungs of `full` in this way, and 66, 77 and 78 % those of `extended`; only
the first is below 58 %. Trials compared within groups are assumed to pass as often. Baselines,
starts and finalists are trained in full; patience only shortens a search.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from model.config import TrialConfig
from model.scoring.second_judge import judged_by_letters
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
"""In all simulations together: the more trials a search has, the less its time varies."""
MIN_SIMULATIONS = 10
ENDS = (0.05, 0.95)
"""Quantiles of the simulated searches' times at the ends of the range."""
ERROR = 1.25
"""Factor by which all trials together may take longer or shorter than timed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Training:
    """A full training: its reports, and the seconds between two.

    Attributes:
        config: What is trained.
        scoring_seconds: Seconds to score the test passage if it is a finalist, per seed.
        is_whole: Whether all its epochs are trained; otherwise, a baseline is no finalist.
    """

    config: TrialConfig
    reports: int
    report_seconds: float
    scoring_seconds: tuple[float, ...] = ()
    is_baseline: bool = False
    is_whole: bool = True

    @property
    def seconds(self) -> float:
        """Seconds of the whole training."""
        return self.reports * self.report_seconds


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How long a search will take; each field is a range from low to high.

    Attributes:
        seconds: Time of the whole search within its time budget, including earlier sessions and
            the finalists.
        num_trials: Trials that end in that time.
        num_confirmations: Trainings of finalists for which there is time.
        reserved_seconds: Time that the search leaves for them; without a time budget, the time
            that all of them take.
    """

    seconds: tuple[float, float]
    num_trials: tuple[int, int]
    num_confirmations: tuple[int, int]
    reserved_seconds: tuple[float, float] = (0.0, 0.0)


class Simulated(NamedTuple):
    """One simulated search, or a quantile of each of its figures over many."""

    seconds: float
    num_ended: float
    num_confirmations: float
    reserved_seconds: float


def _ends(searches: list[Simulated]) -> list[Simulated]:
    """Return the two quantiles ENDS of each figure."""
    return [Simulated(*figures) for figures in np.quantile(searches, ENDS, axis=0).tolist()]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Simulation:
    """A search to simulate.

    Attributes:
        first: The trials that run first and are not stopped at rungs, in order.
        drawn: Trials drawn at random from the space; may be empty if `first` has all.
    """

    study: Study
    first: Sequence[Training]
    drawn: Sequence[Training]
    concurrent: int
    before: Spent = NOTHING_SPENT

    def plan(self) -> Plan:
        """Return the ranges over many simulated searches."""
        budget, num_trials = self.study.space.budget, self.study.num_trials
        factor = budget.reduction_factor
        times = min(SIMULATIONS, max(MIN_SIMULATIONS, SIMULATED_TRIALS // num_trials))
        generator = np.random.Generator(np.random.PCG64(self.study.settings.seed))
        # A trial paused at a rung is compared with all that reach it, so no more than that pass.
        most = 1 / factor if budget.promotes else factor**-0.5
        short, long = (
            [self._once(goes_on, error, generator) for _ in range(times)]
            for goes_on, error in ((1 / factor, 1 / ERROR), (most, ERROR))
        )
        short_low, short_high = _ends(short)
        long_low, long_high = _ends(long)
        low, high = _ends([*short, *long])
        seconds = short_low.seconds, long_high.seconds
        confirmations = int(long_low.num_confirmations), int(short_high.num_confirmations)
        return Plan(
            # With time for more finalists, the short end may become the longer one.
            seconds=(min(seconds), max(seconds)),
            num_trials=(int(long_low.num_ended), int(short_high.num_ended)),
            num_confirmations=(min(confirmations), max(confirmations)),
            reserved_seconds=(low.reserved_seconds, high.reserved_seconds),
        )

    def _once(self, goes_on: float, error: float, generator: np.random.Generator) -> Simulated:
        """Simulate one search.

        Args:
            goes_on: The chance to pass a rung, in (0, 1).
            error: What all seconds are multiplied by.
            generator: Draws the trials, and which rungs they pass.
        """
        study, first, drawn, before = self.study, self.first, self.drawn, self.before
        stops = [*study.space.budget.rungs(study.space.max_reports), math.inf]
        num_trials = before.num_ended if before.is_over else study.num_trials
        left = first[before.num_ended : num_trials]
        # More than were asked for may have ended: a user adds trials to a search.
        num_others = max(0, num_trials - max(before.num_ended, len(first)))
        others = [drawn[i] for i in generator.integers(max(1, len(drawn)), size=num_others)]
        num_passed = generator.geometric(1 - goes_on, size=num_others) - 1
        num_passed = num_passed.clip(max=len(stops) - 1)
        trials = [training.seconds for training in left] + [
            min(stops[passed], training.reports) * training.report_seconds
            for training, passed in zip(others, num_passed, strict=True)
        ]
        ends = slot_ends([error * seconds for seconds in trials], self.concurrent)
        limit = study.space.budget.time_budget_seconds or math.inf
        again = self._again(others, error)
        reserves = study.reserves_time and before.seconds < limit
        num_kept, kept_free = again.reserved(limit) if reserves else (0, 0.0)
        seconds = before.seconds + max(ends, default=0.0)
        seconds = max(before.seconds, min(seconds, limit - kept_free))
        # Those without time kept free for them are trained in what the search happens to leave.
        num_confirmations = max(num_kept, again.begun(limit - seconds))
        scored = 0.0
        if num_confirmations:
            whole, bare = (each[num_confirmations - 1] for each in again[:2])
            # Second scores as far as there is room.
            scored = max(bare, min(whole, limit - seconds))
        return Simulated(
            seconds=seconds + scored,
            num_ended=before.num_ended
            + sum(before.seconds + end <= limit - kept_free for end in ends),
            num_confirmations=num_confirmations,
            reserved_seconds=kept_free,
        )

    def _again(self, others: Sequence[Training], error: float) -> FinalistTimes:
        """Return how long the finalists' remaining trainings take.

        Args:
            others: Those after the first trials; they stand for the best, then starts and drawn.
            error: What all seconds are multiplied by.
        """
        study, first, before = self.study, self.first, self.before
        if not study.wants_finalists:
            return FinalistTimes((), (), 0)
        baselines = [training for training in first if training.is_baseline and training.is_whole]
        starts = [training for training in first if not training.is_baseline]
        num_best = max(study.settings.finalists, len(study.space.groups()))
        best = [*others, *starts, *self.drawn][:num_best]
        chosen = [*best, *baselines]
        places = judged_by_letters([training.config for training in chosen])
        order = training_order(
            len(chosen),
            study.settings.finalist_seeds,
            best_baseline=len(best) if baselines else None,
        )[before.num_finalist_trainings :]
        of_winner = min(WINNER_TRAININGS, study.settings.finalist_seeds)
        return times_of(
            [error * chosen[place].seconds for place, _ in order],
            [
                error * chosen[place].scoring_seconds[seed] if place in places else 0.0
                for place, seed in order
            ],
            [0.0] * len(order),
            num_of_winner=max(0, of_winner - before.num_finalist_trainings),
            concurrent=self.concurrent,
        )
