"""Shows a sampler some of a long search's trials, so that a proposal's cost stays bounded.

Optuna's samplers ignore failed trials, so nothing would keep them from regions where trials
diverge, run out of memory or out of time. So these are shown as the poorest. The Gaussian process
(optuna 5.0) uses only complete trials, so stopped ones are shown as complete.

TPE (optuna 5.0) builds its two densities from all trials for each axis: 0.2 s per proposal after
1,000 trials of `extended`, proportional to their number. The best trials form one density and are
all shown; the rest form the other, for which an even sample suffices. Ranking all trials for each
query takes 31 ms after 10,000 trials, and a proposal, which takes 50 ms, queries twice (measured
2026-11-28). Ended trials do not change: they are sorted once, so a query takes 0.1 ms.

Source: Bergstra 2011, "Algorithms for Hyper-Parameter Optimization", section 4.
"""

import copy
import math
from bisect import insort
from collections.abc import Container

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from tune.sampling.own_samplers import ERROR

MAX_SHOWN = 300
"""Maximum number of ended trials that are shown."""
ALWAYS_SHOWN = 25
"""The best of these, always shown: optuna 5.0's TPE puts no more into its good density."""
_Rank = tuple[float, float, float]


class Thinning:
    """Which trials of a study are shown; made once per search, and given all its trials."""

    def __init__(self, *, pruned_as_complete: bool = False, most: int = MAX_SHOWN) -> None:
        """Show none yet.

        Args:
            pruned_as_complete: Show a pruned trial as complete, with its last value.
            most: Maximum number of ended trials shown, at least ALWAYS_SHOWN.
        """
        self._pruned_as_complete = pruned_as_complete
        self._most = most
        self._parts: dict[frozenset[TrialState], _Part] = {}
        self._hidden: set[int] = set()

    def shown(self, trials: list[FrozenTrial], states: frozenset[TrialState]) -> list[FrozenTrial]:
        """Return the trials to show among those in some states, ordered by number.

        Args:
            trials: All trials of the study, ordered by number; those of the last call first.
            states: The states.
        """
        if states not in self._parts:
            self._parts[states] = _Part(states, self._pruned_as_complete, self._most)
        return self._parts[states].shown(trials, self._hidden)

    def hide(self, number: int) -> None:
        """Stop showing an ended trial, which continues as a new one."""
        self._hidden.add(number)
        for part in self._parts.values():
            part.remove(number)


class _Part:
    """The trials in some states: ended ones in order, others by index."""

    def __init__(self, states: frozenset[TrialState], pruned_as_complete: bool, most: int) -> None:
        self._states = states
        self._pruned_as_complete = pruned_as_complete
        self._most = most
        self._num_seen = 0
        self._not_ended: list[int] = []
        self._best: list[tuple[_Rank, int, FrozenTrial]] = []
        self._others: list[tuple[int, FrozenTrial]] = []

    def shown(self, trials: list[FrozenTrial], hidden: Container[int]) -> list[FrozenTrial]:
        assert len(trials) >= self._num_seen
        indices = [*self._not_ended, *range(self._num_seen, len(trials))]
        self._num_seen = len(trials)
        self._not_ended = [at for at in indices if not trials[at].state.is_finished()]
        for at in indices:
            if trials[at].state.is_finished():
                trial = _as_sampled(trials[at], pruned_as_complete=self._pruned_as_complete)
                if trial.state in self._states and trial.number not in hidden:
                    self._add(trial)
        shown = [trials[at] for at in self._not_ended if trials[at].state in self._states]
        shown += (trial for _, _, trial in self._best)
        num_others = min(len(self._others), self._most - ALWAYS_SHOWN)
        # Even by number, not by rank, so that neither age nor quality gains weight.
        even = np.linspace(0, len(self._others) - 1, num_others).round().astype(int)
        shown += (self._others[at][1] for at in even)
        return sorted(shown, key=lambda trial: trial.number)

    def _add(self, trial: FrozenTrial) -> None:
        insort(self._best, (_rank(trial), trial.number, trial))
        if len(self._best) > ALWAYS_SHOWN:
            _, number, other = self._best.pop()
            insort(self._others, (number, other))

    def remove(self, number: int) -> None:
        """Forget an ended trial, as if it had never existed."""
        self._others = [each for each in self._others if each[0] != number]
        kept = [each for each in self._best if each[1] != number]
        if len(kept) < len(self._best) and self._others:
            best = min(self._others, key=lambda each: (_rank(each[1]), each[0]))
            self._others.remove(best)
            insort(kept, (_rank(best[1]), *best))
        self._best = kept


class ThinnedStudy(optuna.Study):
    """A study that shows a sampler at most MAX_SHOWN ended trials, and all running ones."""

    def __init__(self, study: optuna.Study, thinning: Thinning) -> None:
        """Show a study for one proposal; all proposals share the thinning."""
        self.__dict__.update(study.__dict__)
        self._thinning = thinning
        self._shown: dict[frozenset[TrialState], list[FrozenTrial]] = {}

    # optuna 5.0's samplers call this for each axis; its public `get_trials` copies all trials.
    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        assert not deepcopy
        wanted = frozenset(state for state in TrialState if states is None or state in states)
        if wanted not in self._shown:
            trials = super()._get_trials(deepcopy=False, states=None, use_cache=use_cache)
            self._shown[wanted] = self._thinning.shown(trials, wanted)
        return self._shown[wanted]


def _as_sampled(trial: FrozenTrial, *, pruned_as_complete: bool) -> FrozenTrial:
    """Return an ended trial as the sampler should see it; failed ones have no good value."""
    has_failed = trial.state == TrialState.FAIL and ERROR in trial.user_attrs
    if not has_failed and not (pruned_as_complete and trial.state == TrialState.PRUNED):
        return trial
    shown = copy.copy(trial)
    values = {} if has_failed else trial.intermediate_values
    if pruned_as_complete:
        shown.state = TrialState.COMPLETE
        # Optuna replaces a value that is not finite with the worst of the others.
        shown.value = values[max(values)] if values else math.inf
    else:
        shown.state, shown.intermediate_values = TrialState.PRUNED, values
    return shown


def _rank(trial: FrozenTrial) -> _Rank:
    """Order trials as TPE does: complete ones by value, then pruned ones by their last step."""
    if trial.state == TrialState.COMPLETE:
        assert trial.value is not None
        return 0, 0, trial.value
    if not trial.intermediate_values:
        return 2, 0, 0
    step, value = max(trial.intermediate_values.items())
    return 1, -step, value
