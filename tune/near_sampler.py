"""Proposals near a configuration that is known to be good: a start, or the best so far.

Source: Mallik 2023, "PriorBand: Practical Hyperparameter Optimization in the Age of Deep
Learning", arXiv:2306.12370, section 4: what a user believes to be good, what was found so far and
chance each propose a part of the trials.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from search_spaces.distributions import at_position, is_ordered, position

SPREAD = 0.25
"""The standard deviation of a step along an axis whose length is 1; a choice that has no order is
drawn anew as often."""


class NearSampler(BaseSampler):
    """Moves away from one point, each axis by itself; made for one proposal.

    One axis at least is drawn: the point itself has been tried.
    """

    def __init__(
        self,
        center: Mapping[str, Any] | None,
        *,
        moved_share: float,
        chance: np.random.Generator,
        otherwise: BaseSampler,
    ) -> None:
        """Sample one trial.

        Args:
            center: The point; None is the trial of the study with the lowest value so far.
            moved_share: How many of the axes are moved, in the mean.
            chance: Of this proposal.
            otherwise: For axes that the point does not have, and where there is none yet.
        """
        self._center = center
        self._moved_share = moved_share
        self._chance = chance
        self._otherwise = otherwise
        self._always_moved: str | None = None

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return that no axes are sampled together."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Sample none."""
        return {}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Sample an axis by itself."""
        if self._center is None:
            self._center = _best(study)
        if self._always_moved is None and self._center:
            self._always_moved = str(self._chance.choice(list(self._center)))
        if param_name not in self._center:
            return self._otherwise.sample_independent(study, trial, param_name, param_distribution)
        value = self._center[param_name]
        if param_name != self._always_moved and self._chance.random() >= self._moved_share:
            return value
        return _moved(param_distribution, value, self._chance)


def _moved(distribution: BaseDistribution, value: Any, chance: np.random.Generator) -> Any:
    if not is_ordered(distribution):
        drawn = at_position(distribution, chance.random())
        return drawn if chance.random() < SPREAD else value
    center = position(distribution, value)
    while True:  # a normal distribution, cut at the bounds: at least 1 in 2 lies inside
        place = chance.normal(center, SPREAD)
        if 0 <= place <= 1:
            return at_position(distribution, place)


def _best(study: Study) -> Mapping[str, Any]:
    """Return the point of the trial with the lowest value of any epoch; none if none has one."""
    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
    trials = study.get_trials(deepcopy=False, states=states)
    trained = [trial for trial in trials if trial.intermediate_values]
    if not trained:
        return {}
    return min(trained, key=lambda trial: min(trial.intermediate_values.values())).params
