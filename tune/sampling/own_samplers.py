"""Samplers that Optuna lacks: near the best, Sobol by trial number, CMA-ES without pickles.

Sources: Mallik 2023, "PriorBand: Practical Hyperparameter Optimization in the Age of Deep
Learning", arXiv:2306.12370, section 4 (the user's prior, the best so far and random sampling each
propose a share of the trials); Sobol 1967; Hansen 2016, arXiv:1604.00772 (CMA-ES).
"""

import collections
import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna import Study
from optuna._transform import _SearchSpaceTransform
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import CmaEsSampler, QMCSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from search_spaces.distributions import at_position, is_ordered, position

NUMBER = "number"
"""User attribute of Optuna's trials: our trial number."""
ERROR = "error"
"""User attribute: why a trial failed; a repeated proposal fails without it."""
SPREAD = 0.25
"""Standard deviation of a step along an axis of length 1; probability with which an unordered
choice is resampled."""


class NearSampler(RandomSampler):
    """Perturbs one point, each axis independently; made for one proposal.

    At least one axis moves, if any can: the point itself has been tried. Axes that the point
    lacks, or all axes if there is no point yet, are drawn at random.
    """

    def __init__(
        self,
        center: Mapping[str, Any] | None,
        *,
        axes: Mapping[str, BaseDistribution],
        moved_share: float,
        generator: np.random.Generator,
        seed: int,
    ) -> None:
        """Sample one trial.

        Args:
            center: The point; None for the study's trial with the lowest value so far.
            axes: The space's axes.
            moved_share: Probability, for each other axis, that it is drawn too.
            generator: This proposal's generator.
            seed: Seed for the axes drawn at random.
        """
        super().__init__(seed)
        self._center = center
        self._axes = axes
        self._moved_share = moved_share
        self._generator = generator
        self._always_moved: str | None = None

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Sample one axis."""
        if self._center is None:
            self._center = _best(study)
        if self._always_moved is None:
            self._always_moved = self._choose_axis(self._center)
        if param_name not in self._center:
            return super().sample_independent(study, trial, param_name, param_distribution)
        value = self._center[param_name]
        if param_name == self._always_moved:
            return _other(param_distribution, value, self._generator)
        if self._generator.random() >= self._moved_share:
            return value
        return _near(param_distribution, value, self._generator)

    def _choose_axis(self, center: Mapping[str, Any]) -> str:
        movable = [name for name in self._axes if name in center and not self._axes[name].single()]
        return str(self._generator.choice(movable)) if movable else ""


def _near(distribution: BaseDistribution, value: Any, generator: np.random.Generator) -> Any:
    """Return a value near another, possibly equal to it."""
    if isinstance(distribution, CategoricalDistribution) and not is_ordered(distribution):
        drawn = distribution.choices[int(generator.integers(len(distribution.choices)))]
        return drawn if generator.random() < SPREAD else value
    center = position(distribution, value)
    while True:  # a truncated normal: at least 2 in 5 draws lie within the bounds
        drawn = generator.normal(center, SPREAD)
        if 0 <= drawn <= 1:
            return at_position(distribution, drawn)


def _other(distribution: BaseDistribution, value: Any, generator: np.random.Generator) -> Any:
    """Return a value near another, but different; the axis has more than one."""
    drawn = value
    # The worst case is an axis of two numbers: 1 draw in 22 differs. 1 and 1.0 are equal.
    for _ in range(1_000):
        drawn = _near(distribution, value, generator)
        if drawn != value:
            break
    return drawn


def _best(study: Study) -> Mapping[str, Any]:
    """Return the point of the trial with the lowest value at any epoch; empty without values."""
    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
    trials = study.get_trials(deepcopy=False, states=states)
    trained = [trial for trial in trials if trial.intermediate_values]
    if not trained:
        return {}
    return min(trained, key=lambda trial: min(trial.intermediate_values.values())).params


class NumberedQMCSampler(QMCSampler):
    """Gives a trial its own point of a scrambled sequence."""

    def __init__(self, index: int, **arguments: Any) -> None:
        """Sample the trial whose point has this index, from 0; the sequence is Optuna's."""
        super().__init__(**arguments)
        self._index = index

    def _find_sample_id(self, study: Study, search_space: dict[str, BaseDistribution]) -> int:
        return self._index


@dataclasses.dataclass(slots=True)
class Replay:
    """What a search has told CMA-ES, kept between proposals.

    Attributes:
        axes: The axes sampled jointly.
        told: Trial numbers of each generation.
        optimizer: CMA-ES's state after these generations.
    """

    axes: dict[str, BaseDistribution] = dataclasses.field(default_factory=dict)
    told: list[list[int]] = dataclasses.field(default_factory=list)
    optimizer: Any = None


class ReplayedCmaEsSampler(CmaEsSampler):
    """CMA-ES whose state is recomputed from the trials and their generations.

    optuna 5.0 pickles the state into the trials' attributes and loads it from there, so anyone who
    can write a run's journal could execute code. Here, draws do not depend on Optuna's trial
    numbers, which also count repeated proposals.
    """

    def __init__(self, replay: Replay, **arguments: Any) -> None:
        """Sample one trial.

        Args:
            replay: This search's; what it has is not told again.
            arguments: Optuna's.
        """
        super().__init__(**arguments)
        self._replay = replay

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Sample the axes jointly."""
        self._together = search_space
        unnumbered = copy.copy(trial)
        unnumbered.number = 0
        return super().sample_relative(study, unnumbered, search_space)

    def _get_trials(self, study: Study) -> list[FrozenTrial]:
        """Return the trials and their values, without optuna 5.0's deep copy of pruned ones."""
        states = (TrialState.COMPLETE, TrialState.PRUNED)
        trials = []
        # Not thinned, even for a ThinnedStudy: a generation keeps a promoted trial, which was told
        # at its rung and is told again when it ends.
        ended = Study._get_trials(study, deepcopy=False, states=states, use_cache=True)
        of_number = {trial.user_attrs.get(NUMBER, trial): trial for trial in ended}
        for trial in of_number.values():
            known = trial
            if trial.state == TrialState.PRUNED:
                if not trial.intermediate_values:
                    continue
                known = copy.copy(trial)
                known.value = trial.intermediate_values[max(trial.intermediate_values)]
            trials.append(known)
        return trials

    def _restore_optimizer(self, completed_trials: list[FrozenTrial]) -> Any:
        transform = _SearchSpaceTransform(self._together, transform_0_1=True)
        # Created each time, because it draws from the generator that draws the proposal.
        new = self._init_optimizer(transform, StudyDirection.MINIMIZE)
        drawn = collections.defaultdict(list)
        for trial in completed_trials:
            drawn[trial.system_attrs.get(self._attr_key_generation)].append(trial)
        full: list[list[FrozenTrial]] = []
        while len(drawn[len(full)]) >= new.population_size:
            full.append(drawn[len(full)][: new.population_size])
        numbers = [[trial.number for trial in generation] for generation in full]
        replay = self._replay
        # A trial that ends late replaces another in its generation.
        if replay.axes != self._together or replay.told != numbers[: len(replay.told)]:
            replay.axes, replay.told, replay.optimizer = self._together, [], None
        replay.optimizer = replay.optimizer or new
        for generation in full[len(replay.told) :]:
            points = [(transform.transform(trial.params), trial.value) for trial in generation]
            replay.optimizer.tell(points)
        replay.told = numbers
        return copy.deepcopy(replay.optimizer)
