"""Shows a sampler some of a long search's trials, so that a proposal costs no more at the end.

TPE (optuna 5.0) builds its two densities from all trials for each axis: 0.2 s for a proposal after
1,000 trials of `extended`, in proportion to their number. The best trials make one density and
are all shown; the other is made of the many, of which an even part tells the same.

Source: Bergstra 2011, "Algorithms for Hyper-Parameter Optimization", section 4.
"""

from collections.abc import Container
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

MAX_SHOWN = 300
"""Ended trials that are shown at most."""
ALWAYS_SHOWN = 25
"""Of these, the best: optuna 5.0's TPE never takes more into its density of the good."""


class ThinnedSampler(BaseSampler):
    """A sampler that sees at most MAX_SHOWN ended trials, and all that run."""

    def __init__(self, sampler: BaseSampler) -> None:
        """Thin what another sampler sees; it is made for one proposal."""
        self._sampler = sampler
        self._shown: _ThinnedStudy | None = None

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the axes that are sampled together."""
        return self._sampler.infer_relative_search_space(self._of(study), trial)

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        """Sample them."""
        return self._sampler.sample_relative(self._of(study), trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Sample an axis by itself."""
        return self._sampler.sample_independent(
            self._of(study), trial, param_name, param_distribution
        )

    def _of(self, study: optuna.Study) -> optuna.Study:
        if self._shown is None:
            self._shown = _ThinnedStudy(study)
        return self._shown


class _ThinnedStudy(optuna.Study):
    """A study as it is, but for the trials that it tells of; for one proposal."""

    def __init__(self, study: optuna.Study) -> None:
        self.__dict__.update(study.__dict__)
        self._told: dict[tuple[TrialState, ...] | None, list[FrozenTrial]] = {}

    # What optuna 5.0's samplers ask, for each axis; its public `get_trials` copies all trials.
    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        key = None if states is None else tuple(each for each in TrialState if each in states)
        if key not in self._told:
            self._told[key] = _thinned(super()._get_trials(deepcopy, states, use_cache))
        return self._told[key]


def _thinned(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    ended = [trial for trial in trials if trial.state.is_finished()]
    if len(ended) <= MAX_SHOWN:
        return trials
    ended.sort(key=_rank)
    best, others = ended[:ALWAYS_SHOWN], ended[ALWAYS_SHOWN:]
    # By their number, not by their rank: neither age nor quality weighs more than before.
    others.sort(key=lambda trial: trial.number)
    even = np.linspace(0, len(others) - 1, MAX_SHOWN - ALWAYS_SHOWN).round().astype(int)
    running = [trial for trial in trials if not trial.state.is_finished()]
    shown = [*best, *(others[index] for index in even), *running]
    return sorted(shown, key=lambda trial: trial.number)


def _rank(trial: FrozenTrial) -> tuple[float, float, float]:
    """Order trials as TPE does: complete ones by value, then pruned ones by how far they came."""
    if trial.state == TrialState.COMPLETE:
        assert trial.value is not None
        return 0, 0, trial.value
    if not trial.intermediate_values:
        return 2, 0, 0
    step, value = max(trial.intermediate_values.items())
    return 1, -step, value
