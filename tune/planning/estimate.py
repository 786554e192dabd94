"""Estimates how long a search takes, before it starts and while it runs.

Seconds per epoch come from timing the machine (model/training/speed.py), the plan from simulated
searches (simulation.py). Trials that have ended correct the estimate of the remaining time.
"""

import bisect
import dataclasses
import functools
import math
from collections.abc import Collection, Iterable

import numpy as np

from model.config import TrialConfig
from model.training.cost import num_parameters
from model.training.speed import MachineSpeed
from search_spaces.random_configs import random_configs
from tune.cluster.trial_memory import text_of, text_sizes
from tune.planning.finalist_budget import scoring_seconds_of
from tune.planning.simulation import Plan, Simulation, Training
from tune.planning.study import NOTHING_SPENT, Spent, Study
from tune.planning.training_time import (
    baselines_seconds,
    has_baselines_beside,
    longest_seconds,
    shortened,
)
from tune.records.study_file import PlannedTime
from tune.records.trial import TrialRecord

_DRAWN = 200


class Estimate:
    """Estimates of one study, its earlier sessions included."""

    def __init__(
        self, study: Study, speed: MachineSpeed, concurrent: int, before: Spent = NOTHING_SPENT
    ) -> None:
        """Estimate a study.

        Args:
            study: What is searched.
            speed: How fast a trial trains.
            concurrent: Trials at once.
            before: What the earlier sessions of the search did.
        """
        self.before = before
        self._study = study
        self._speed = speed
        self._concurrent = concurrent
        self._sizes = text_sizes(study.space, study.prepared)
        self._longest_seconds = longest_seconds(study, concurrent)
        space = study.space
        self._baselines = self._baseline_trainings()
        # Seldom stopped.
        self._starts = [self._training(space.config(point)) for point in space.all_starts()]
        first = [*self._baselines.values(), *self._starts]
        if has_baselines_beside(study):
            first = [*self._starts[:1], *self._baselines.values(), *self._starts[1:]]
        self._first = first[: study.num_trials]
        drawn = random_configs(space, _DRAWN, seed=study.settings.seed)
        self._drawn = [self._training(config) for config in drawn]

    def epoch_seconds(self, config: TrialConfig) -> float:
        """Return the seconds of a configuration's epoch, by the timings alone."""
        return self._speed.epoch_seconds(config, self._sizes[text_of(config)])

    @functools.cached_property
    def plan(self) -> Plan:
        """How long the whole search will take."""
        return Simulation(
            study=self._study,
            first=self._first,
            drawn=self._drawn,
            concurrent=self._concurrent,
            before=self.before,
        ).plan()

    def planned_seconds(
        self, running: Iterable[TrialRecord], num_known: int, baselines: Collection[str]
    ) -> float:
        """Return how long the rest of a search takes, by the timings alone.

        Args:
            running: The trials that have not ended.
            num_known: How many trials there are, ended or not.
            baselines: Names of the baselines among them.
        """
        seconds = sum(
            self._expected_seconds(
                self._baselines.get(record.baseline) or self._training(record.config, math.inf),
                len(record.epochs),
                whole=bool(record.baseline),
            )
            for record in running
        )
        # None is left if a resumed search is asked for fewer trials than it has started.
        num_left = max(0, self._study.num_trials - num_known)
        whole = [each for name, each in self._baselines.items() if name not in baselines]
        whole = [*whole, *self._starts[max(0, num_known - len(baselines)) :]][:num_left]
        num_others = num_left - len(whole)
        seconds += sum(training.seconds for training in whole) + num_others * self._mean_seconds
        return seconds / self._concurrent

    def ratios(self, records: Iterable[TrialRecord]) -> list[float]:
        """Return the ratio of measured to predicted seconds per epoch of each ended trial."""
        return [
            record.epoch_seconds / self.epoch_seconds(record.config)
            for record in records
            if record.is_done and record.epochs
        ]

    def compared_with(self, records: Iterable[TrialRecord]) -> PlannedTime:
        """Return the plan, and its errors in seconds and memory in the ended trials."""
        records = list(records)
        ratios = self.ratios(records)
        memory = [
            record.peak_memory_bytes / record.estimated_memory_bytes
            for record in records
            if record.peak_memory_bytes and record.estimated_memory_bytes
        ]
        return PlannedTime(
            planned_seconds=self.plan.seconds,
            planned_trials=self.plan.num_trials,
            measured_trials=len(ratios),
            measured_by_predicted=_middle(ratios),
            memory_trials=len(memory),
            memory_by_predicted=_middle(memory),
        )

    @functools.cached_property
    def _mean_seconds(self) -> float:
        """Mean seconds of a trial drawn at random, with rungs; 0 if none is drawn."""
        seconds = [self._expected_seconds(training, 0, whole=False) for training in self._drawn]
        return sum(seconds) / max(1, len(seconds))

    def _baseline_trainings(self) -> dict[str, Training]:
        """Return the baselines' trainings by name, each as far as its time allows."""
        space = self._study.space
        whole = {
            each.name: dataclasses.replace(
                self._training(space.config(each.params), math.inf), is_baseline=True
            )
            for each in space.baselines
        }
        if not has_baselines_beside(self._study):
            return whole
        left = baselines_seconds(self._study, self._concurrent)
        found = {}
        for place, (name, training) in enumerate(whole.items()):
            part = left / (len(whole) - place)
            reports = max(1, min(training.reports, math.floor(part / training.report_seconds)))
            is_whole = reports == training.reports
            found[name] = dataclasses.replace(training, reports=reports, is_whole=is_whole)
            left = max(0.0, left - found[name].seconds)
        return found

    def _training(self, config: TrialConfig, longest_seconds: float | None = None) -> Training:
        """Return the training of a configuration, shortened to the longest allowed."""
        sizes = self._sizes[text_of(config)]
        seconds = self._longest_seconds if longest_seconds is None else longest_seconds
        epoch_seconds = self.epoch_seconds(config)
        config = shortened(config, epoch_seconds=epoch_seconds, seconds=seconds)
        parameters = num_parameters(config, sizes.vocabulary_size)
        trend, plain = (
            scoring_seconds_of(self._study, config, parameters, with_trend)
            for with_trend in (True, False)
        )
        scoring = (trend, *[plain] * (self._study.settings.finalist_seeds - 1))
        report_seconds = epoch_seconds / config.reports_per_epoch
        return Training(config, config.num_reports, report_seconds, scoring)

    def _expected_seconds(self, training: Training, done: int, *, whole: bool) -> float:
        """Return the seconds that a trial still takes, by the plan's chance to pass a rung.

        If trials are judged once, the chance lies between the plan's two.

        Args:
            training: The trial.
            done: Its reports so far.
            whole: Whether it is never stopped.
        """
        budget = self._study.space.budget
        goes_on = budget.reduction_factor ** (-1.0 if budget.promotes else -0.75)
        rungs = [] if whole else budget.rungs(training.reports)
        reports, reached, at = 0.0, 1.0, done
        for rung in rungs:
            if done < rung < training.reports:
                reports += reached * (rung - at)
                reached *= goes_on
                at = rung
        # A baseline may train for longer than planned.
        return (reports + reached * max(0, training.reports - at)) * training.report_seconds


def _middle(ratios: list[float]) -> tuple[float, float, float] | None:
    """Return the 10 % quantile, the median and the 90 % quantile."""
    if not ratios:
        return None
    low, median, high = np.quantile(ratios, (0.1, 0.5, 0.9)).tolist()
    return low, median, high


class Remaining:
    """The remaining time of a search: the estimate, corrected by the trials that have ended."""

    def __init__(self, estimate: Estimate) -> None:
        """Begin before the first trial."""
        self._estimate = estimate
        self._known: set[int] = set()
        self._open: dict[int, TrialRecord] = {}
        self._compared: set[int] = set()
        self._baselines: set[str] = set()
        self._ratios: list[float] = []  # in order

    def see(self, record: TrialRecord) -> None:
        """Learn how a trial is now."""
        self._known.add(record.number)
        if record.baseline:
            self._baselines.add(record.baseline)
        if not record.is_done:  # it may continue from the rung at which it stopped
            self._open[record.number] = record
            return
        self._open.pop(record.number, None)
        if record.has_ended and record.number not in self._compared:
            self._compared.add(record.number)
            for ratio in self._estimate.ratios([record]):
                bisect.insort(self._ratios, ratio)

    def seconds(self) -> float:
        """Return the seconds that the rest takes."""
        running = list(self._open.values())  # a display asks from a thread of its own
        return self._correction() * self._estimate.planned_seconds(
            running, len(self._known), self._baselines
        )

    def epoch_seconds(self, config: TrialConfig) -> float:
        """Return the seconds of a configuration's epoch."""
        return self._correction() * self._estimate.epoch_seconds(config)

    def _correction(self) -> float:
        """Return the median of measured to predicted; of two middle ones, the geometric mean."""
        ratios = self._ratios
        middle = len(ratios) // 2
        if not ratios:
            return 1.0
        return math.sqrt(ratios[middle] * ratios[len(ratios) - 1 - middle])
