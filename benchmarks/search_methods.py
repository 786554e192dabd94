"""The search methods that benchmarks.search compares, each behind the same small interface.

Ours is the product's own searcher and scheduler; Ray's are its own classes, called as its
controller calls them.
"""

import dataclasses
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import optuna
from optuna.samplers import RandomSampler, TPESampler
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from benchmarks.overhead_sampler import made_up_epoch
from benchmarks.simulation import Method
from model.config import TrialConfig
from search_spaces import SearchSpace
from tune.records.trial import RUNNING_BEST, Outcome, Status, TrialRecord
from tune.sampling.optuna_study import fill_study
from tune.sampling.samplers import SAMPLERS, default_sampler
from tune.sampling.searcher import StudySearcher
from tune.trials.asha import FairASHA

MAX_TRIALS = 1_000_000
"""A replay ends by its seconds instead."""
Factory = Callable[[SearchSpace, int, int, int], Method]
"""Takes the space, the epochs of a full training, the seed and the number of workers."""


class RayMethod:
    """A Ray searcher and a Ray scheduler, called in the order in which Ray 2.60 calls them."""

    def __init__(
        self, searcher: Searcher, scheduler: TrialScheduler, axes: Callable[[Any], dict[str, Any]]
    ) -> None:
        """Store the parts.

        Args:
            searcher: Proposes configurations.
            scheduler: Stops trials.
            axes: Takes a proposal and returns the values of the axes.
        """
        self._searcher, self._scheduler, self._axes = searcher, scheduler, axes
        self._trials: dict[str, Any] = {}

    def suggest(self, trial: str) -> dict[str, Any]:
        """Return the values of the axes for a new trial."""
        config = self._searcher.suggest(trial)
        assert isinstance(config, dict)
        stand_in = SimpleNamespace(
            trial_id=trial, config=config, status="RUNNING", runtime_error=None
        )
        self._trials[trial] = stand_in
        self._scheduler.on_trial_add(None, stand_in)
        return self._axes(config)

    def epochs_done(self, trial: str) -> int:
        """Return the number of epochs that a suggested trial has trained under another name."""
        return 0

    def epoch_ended(self, trial: str, epoch: int, running_best: float, *, last: bool) -> bool:
        """Record an epoch; return whether the trial continues."""
        outcome = Outcome.FINISHED if last else Outcome.TRAINING
        result = {
            "report": epoch,
            "epoch": epoch,
            "training_iteration": epoch,
            RUNNING_BEST: running_best,
            "outcome": outcome.value,
        }
        stand_in = self._trials[trial]
        decision = TrialScheduler.STOP
        if last:
            self._scheduler.on_trial_complete(None, stand_in, result)
        else:
            decision = self._scheduler.on_trial_result(None, stand_in, result)
        if decision == TrialScheduler.STOP:
            self._searcher.on_trial_complete(trial, result)
            return False
        self._searcher.on_trial_result(trial, result)
        return True


def stock(sampler: type[RandomSampler | TPESampler], *, base_first: bool = False) -> Factory:
    """Return Ray's own OptunaSearch and ASHA, with its documentation's settings.

    Args:
        sampler: Optuna's; OptunaSearch's default is TPESampler.
        base_first: Whether it starts with the base with which ours starts.
    """

    def make(space: SearchSpace, num_epochs: int, seed: int, num_workers: int) -> Method:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            searcher = OptunaSearch(
                dict(space.distributions),
                metric=RUNNING_BEST,
                mode="min",
                sampler=sampler(seed=seed),
                points_to_evaluate=space.all_starts() if base_first else None,
            )
        asha = AsyncHyperBandScheduler(
            time_attr="training_iteration",
            metric=RUNNING_BEST,
            mode="min",
            max_t=num_epochs,
            grace_period=1,
            reduction_factor=3,
        )
        return RayMethod(searcher, asha, dict)

    return make


def ours(
    sampler: str | None = None, *, has_baselines: bool = False, promotes: bool = True
) -> Factory:
    """Return the product: its searcher, its scheduler, its starting point.

    Args:
        sampler: As `--sampler`; None takes the default.
        has_baselines: Whether it trains the three baselines in full first, as in `full`.
        promotes: Whether trials wait at rungs; otherwise they are judged once at each.
    """

    def make(space: SearchSpace, num_epochs: int, seed: int, num_workers: int) -> Method:
        budget = dataclasses.replace(space.budget, trials=MAX_TRIALS, promotes=promotes)
        baselines = space.baselines if has_baselines else ()
        space = dataclasses.replace(space, budget=budget, baselines=baselines)
        return Product(space, num_epochs, seed, sampler or default_sampler(num_workers))

    return make


class Product(RayMethod):
    """The product's searcher and scheduler, connected as in a search."""

    def __init__(self, space: SearchSpace, num_epochs: int, seed: int, sampler: str) -> None:
        study = optuna.create_study(direction="minimize")
        fill_study(study, space, records=())
        self._records: dict[int, TrialRecord] = {}
        self._asha = FairASHA(space.budget, max_reports=num_epochs, base=space.base)
        searcher = StudySearcher(
            study,
            space,
            seed=seed,
            sampler=sampler,
            promotion=self._promotion if space.budget.promotes else None,
        )
        axes = tuple(space.distributions)
        super().__init__(
            searcher, self._asha, lambda proposal: {a: proposal["config"][a] for a in axes}
        )

    def epochs_done(self, trial: str) -> int:
        """Return the number of epochs that a trial had trained when it was promoted."""
        return len(self._record(trial).epochs)

    def epoch_ended(self, trial: str, epoch: int, running_best: float, *, last: bool) -> bool:
        """Record an epoch; return whether the trial continues."""
        record = self._record(trial)
        record.add_epoch(made_up_epoch(record.number, epoch, running_best))
        goes_on = super().epoch_ended(trial, epoch, running_best, last=last)
        if not goes_on:
            record.status = Status.COMPLETE if last else Status.PRUNED
        return goes_on

    def _record(self, trial: str) -> TrialRecord:
        proposal = self._trials[trial].config
        number, config = proposal["number"], TrialConfig.from_dict(proposal["config"])
        new = TrialRecord(number=number, config=config, baseline=proposal["baseline"])
        return self._records.setdefault(number, new)

    def _promotion(self, is_last: bool) -> tuple[TrialRecord, list[str]] | None:
        def has_stopped(number: int) -> bool:
            return self._records[number].status is Status.PRUNED

        number = self._asha.promoted(has_stopped, is_last=is_last)
        if number is None:
            return None
        self._records[number].status = Status.RUNNING
        return self._records[number], []


METHODS: dict[str, Factory] = {
    "random, ASHA": stock(RandomSampler),
    "OptunaSearch, ASHA": stock(TPESampler),
    "OptunaSearch, ASHA, base first": stock(TPESampler, base_first=True),
    "ours": ours(),
    **{f"ours, --sampler {name}": ours(name) for name in SAMPLERS},
    "ours, judged once": ours(promotes=False),
    "ours, baselines first": ours(has_baselines=True),
}
"""Maps names to methods."""
SLOW = ("ours, --sampler gp",)
"""Left out unless named: 19 to 40 s of CPU per replay, where ours takes 2 s."""
