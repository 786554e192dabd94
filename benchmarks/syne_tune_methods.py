"""Syne Tune's multi-fidelity schedulers for benchmarks.search, driven as its tuner drives them."""

import datetime
import logging
import warnings
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from syne_tune import config_space
from syne_tune.backend.trial_status import Trial
from syne_tune.optimizer import baselines
from syne_tune.optimizer.scheduler import SchedulerDecision, TrialScheduler

from benchmarks.simulation import Method
from search_spaces import SearchSpace
from tune.records.trial import RUNNING_BEST

_TIME = "epoch"
# Syne Tune 0.16 warns of an argument that its own classes pass.
logging.getLogger("syne_tune").setLevel(logging.ERROR)


class SyneTuneMethod:
    """A scheduler of Syne Tune 0.16: it proposes and it stops."""

    def __init__(self, scheduler: TrialScheduler) -> None:
        self._scheduler = scheduler
        self._trials: dict[str, Trial] = {}

    def suggest(self, trial: str) -> dict[str, Any]:
        """Return the axes' values of a new trial."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its density estimates warn at each fit
            suggestion = self._scheduler.suggest()
        assert suggestion is not None and suggestion.config is not None
        self._trials[trial] = Trial(len(self._trials), suggestion.config, datetime.datetime.now())
        self._scheduler.on_trial_add(self._trials[trial])
        return dict(suggestion.config)

    def epochs_done(self, trial: str) -> int:
        """Return 0: none goes on under another name."""
        return 0

    def epoch_ended(self, trial: str, epoch: int, running_best: float, *, last: bool) -> bool:
        """Learn of an epoch; return whether the trial goes on."""
        result = {RUNNING_BEST: running_best, _TIME: epoch}
        if last:
            self._scheduler.on_trial_complete(self._trials[trial], result)
            return False
        decision = self._scheduler.on_trial_result(self._trials[trial], result)
        return bool(decision == SchedulerDecision.CONTINUE)


def _domain(distribution: BaseDistribution) -> config_space.Domain:
    if isinstance(distribution, CategoricalDistribution):
        return config_space.choice(list(distribution.choices))
    if isinstance(distribution, IntDistribution):
        make = config_space.lograndint if distribution.log else config_space.randint
        return make(distribution.low, distribution.high)
    assert isinstance(distribution, FloatDistribution)
    scale = config_space.loguniform if distribution.log else config_space.uniform
    return scale(distribution.low, distribution.high)


def _arguments(space: SearchSpace, num_epochs: int, seed: int) -> dict[str, Any]:
    return {
        "config_space": {axis: _domain(each) for axis, each in space.distributions.items()},
        "metric": RUNNING_BEST,
        "time_attr": _TIME,
        "max_t": num_epochs,
        "random_seed": seed,
    }


def bohb(space: SearchSpace, num_epochs: int, seed: int, num_workers: int) -> Method:
    """ASHA with a kernel density estimate on each rung (Falkner 2018)."""
    return SyneTuneMethod(baselines.BOHB(**_arguments(space, num_epochs, seed)))


def asha_cqr(space: SearchSpace, num_epochs: int, seed: int, num_workers: int) -> Method:
    """ASHA with conformalized quantile regression (Salinas 2023, arXiv:2305.03623)."""
    return SyneTuneMethod(baselines.ASHACQR(**_arguments(space, num_epochs, seed)))


def asha_bore(space: SearchSpace, num_epochs: int, seed: int, num_workers: int) -> Method:
    """ASHA with density ratio estimation by boosted trees (Tiao 2021, arXiv:2102.09009)."""
    return SyneTuneMethod(baselines.ASHABORE(**_arguments(space, num_epochs, seed)))
