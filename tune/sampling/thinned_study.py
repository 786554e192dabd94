"""Shows a sampler some of a long search's trials, so that a proposal costs no more at the end.

Optuna's samplers never see a trial that failed, so nothing would keep them from where trials
diverge, run out of memory or out of time: those are shown as the poorest. The Gaussian process
(optuna 5.0) knows complete trials alone; stopped ones are shown as complete.

TPE (optuna 5.0) builds its two densities from all trials for each axis: 0.2 s for a proposal after
1,000 trials of `extended`, in proportion to their number. The best trials make one density and
are all shown; the other is made of the many, of which an even part tells the same. To rank all
of them for each answer takes 31 ms after 10,000 trials, and a proposal that takes 50 ms asks twice
(measured 2026-11-28). What has ended does not change: sorted once, an answer takes 0.1 ms.

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
"""Ended trials that are shown at most."""
ALWAYS_SHOWN = 25
"""Of these, the best: optuna 5.0's TPE never takes more into its density of the good."""
_Rank = tuple[float, float, float]


class Thinning:
    """Which trials of one study are shown; made for a whole search, and fed all its trials."""

    def __init__(self, *, pruned_as_complete: bool = False, most: int = MAX_SHOWN) -> None:
        """Show none yet.

        Args:
            pruned_as_complete: Show a pruned trial as one that is complete, with its last value.
            most: Ended trials that are shown, at least ALWAYS_SHOWN.
        """
        self._pruned_as_complete = pruned_as_complete
        self._most = most
        self._parts: dict[frozenset[TrialState], _Part] = {}
        self._hidden: set[int] = set()

    def shown(self, trials: list[FrozenTrial], states: frozenset[TrialState]) -> list[FrozenTrial]:
        """Return those to show of the trials in some states, by their number.

        Args:
            trials: All of the study, by their number; those of the last call first.
            states: The states.
        """
        if states not in self._parts:
            self._parts[states] = _Part(states, self._pruned_as_complete, self._most)
        return self._parts[states].shown(trials, self._hidden)

    def hide(self, number: int) -> None:
        """Show an ended trial no more: it goes on as another one."""
        self._hidden.add(number)
        for part in self._parts.values():
            part.remove(number)


class _Part:
    """The trials in some states: those that have ended in order, the others by index."""

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
        # By their number, not by their rank: neither age nor quality weighs more than before.
        even = np.linspace(0, len(self._others) - 1, num_others).round().astype(int)
        shown += (self._others[at][1] for at in even)
        return sorted(shown, key=lambda trial: trial.number)

    def _add(self, trial: FrozenTrial) -> None:
        insort(self._best, (_rank(trial), trial.number, trial))
        if len(self._best) > ALWAYS_SHOWN:
            _, number, other = self._best.pop()
            insort(self._others, (number, other))

    def remove(self, number: int) -> None:
        """Forget an ended trial, as if it had never been there."""
        self._others = [each for each in self._others if each[0] != number]
        kept = [each for each in self._best if each[1] != number]
        if len(kept) < len(self._best) and self._others:
            best = min(self._others, key=lambda each: (_rank(each[1]), each[0]))
            self._others.remove(best)
            insort(kept, (_rank(best[1]), *best))
        self._best = kept


class ThinnedStudy(optuna.Study):
    """A study that tells a sampler of at most MAX_SHOWN ended trials, and of all that run."""

    def __init__(self, study: optuna.Study, thinning: Thinning) -> None:
        """Show a study for one proposal; the thinning is one for all proposals."""
        self.__dict__.update(study.__dict__)
        self._thinning = thinning
        self._shown: dict[frozenset[TrialState], list[FrozenTrial]] = {}

    # What optuna 5.0's samplers ask, for each axis; its public `get_trials` copies all trials.
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
    """Return an ended trial as the sampler is to know it; one that failed has no good value."""
    has_failed = trial.state == TrialState.FAIL and ERROR in trial.user_attrs
    if not has_failed and not (pruned_as_complete and trial.state == TrialState.PRUNED):
        return trial
    shown = copy.copy(trial)
    values = {} if has_failed else trial.intermediate_values
    if pruned_as_complete:
        shown.state = TrialState.COMPLETE
        # Optuna takes the worst of the others for one that is not finite.
        shown.value = values[max(values)] if values else math.inf
    else:
        shown.state, shown.intermediate_values = TrialState.PRUNED, values
    return shown


def _rank(trial: FrozenTrial) -> _Rank:
    """Order trials as TPE does: complete ones by value, then pruned ones by how far they came."""
    if trial.state == TrialState.COMPLETE:
        assert trial.value is not None
        return 0, 0, trial.value
    if not trial.intermediate_values:
        return 2, 0, 0
    step, value = max(trial.intermediate_values.items())
    return 1, -step, value
