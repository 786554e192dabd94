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


class RandomSearcher(Searcher):
    """Random proposals for Ray's schedulers."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        super().__init__(metric=RUNNING_BEST, mode="min")
        self._distributions = dict(space.distributions)
        self._study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """Propose a configuration."""
        return self._study.ask(self._distributions).params

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Ignore the result."""

    def save(self, checkpoint_path: str) -> None:
        """Do nothing."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing."""


def asha(num_epochs: int, **changes: Any) -> AsyncHyperBandScheduler:
    """Return Ray's ASHA with its documentation's settings."""
    values = {
        "time_attr": "training_iteration",
        "metric": RUNNING_BEST,
        "mode": "min",
        "max_t": num_epochs,
        "grace_period": 1,
        "reduction_factor": 3,
        **changes,
    }
    return AsyncHyperBandScheduler(**values)


def random_asha(space: SearchSpace, num_epochs: int, seed: int, num_workers: int) -> Method:
    """Random configurations and Ray's ASHA."""
    return RayMethod(RandomSearcher(space, seed), asha(num_epochs), dict)


def ray_optuna(space: SearchSpace, num_epochs: int, seed: int, num_workers: int) -> Method:
    """Ray's own OptunaSearch (Optuna's default sampler, TPE) and Ray's ASHA."""
    return _ray_optuna(space, num_epochs, seed, first=[])


def ray_optuna_base_first(
    space: SearchSpace, num_epochs: int, seed: int, num_workers: int
) -> Method:
    """The same, starting with the base with which ours starts."""
    return _ray_optuna(space, num_epochs, seed, first=space.all_starts())


def _ray_optuna(
    space: SearchSpace, num_epochs: int, seed: int, first: list[dict[str, Any]]
) -> Method:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        searcher = OptunaSearch(
            dict(space.distributions),
            metric=RUNNING_BEST,
            mode="min",
            seed=seed,
            points_to_evaluate=first or None,
        )
    return RayMethod(searcher, asha(num_epochs), dict)


def ours(space: SearchSpace, num_epochs: int, seed: int, num_workers: int) -> Method:
    """The product: its searcher, its scheduler, its starting point, no baselines."""
    space = dataclasses.replace(space, baselines=())
    return Product(space, num_epochs, seed, default_sampler(num_workers))


def ours_with_baselines(
    space: SearchSpace, num_epochs: int, seed: int, num_workers: int
) -> Method:
    """The product with the three baselines, trained in full first as in `full` and `extended`."""
    return Product(space, num_epochs, seed, default_sampler(num_workers))


def ours_judged_once(space: SearchSpace, num_epochs: int, seed: int, num_workers: int) -> Method:
    """The product, but trials are judged once at each rung and never promoted."""
    budget = dataclasses.replace(space.budget, promotes=False)
    space = dataclasses.replace(space, baselines=(), budget=budget)
    return Product(space, num_epochs, seed, default_sampler(num_workers))


def ours_by(sampler: str) -> Factory:
    """Return the product with a given `--sampler`."""

    def make(space: SearchSpace, num_epochs: int, seed: int, num_workers: int) -> Method:
        return Product(dataclasses.replace(space, baselines=()), num_epochs, seed, sampler)

    return make


class Product(RayMethod):
    """The product's searcher and scheduler, connected as in a search."""

    def __init__(self, space: SearchSpace, num_epochs: int, seed: int, sampler: str) -> None:
        budget = dataclasses.replace(space.budget, trials=MAX_TRIALS)
        space = dataclasses.replace(space, budget=budget)
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
    "random, ASHA": random_asha,
    "OptunaSearch, ASHA": ray_optuna,
    "OptunaSearch, ASHA, base first": ray_optuna_base_first,
    "ours": ours,
    **{f"ours, --sampler {name}": ours_by(name) for name in SAMPLERS},
    "ours, judged once": ours_judged_once,
    "ours, baselines first": ours_with_baselines,
}
"""Maps names to methods."""
SLOW = ("ours, --sampler gp",)
"""Left out unless named: 19 to 40 s of CPU per replay, where ours takes 2 s."""
