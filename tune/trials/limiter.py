"""Limits the live trials, and corrects each one's memory request, by what is known so far."""

from collections.abc import Callable, Iterable
from typing import Any

from ray.tune.search import ConcurrencyLimiter, Searcher

from tune.records.trial import ESTIMATED_MEMORY, MEMORY_EXCESS, PEAK_MEMORY, TrialRecord
from tune.trials.driver_only import DriverOnly
from tune.trials.stopper import SearchStopper


def excess_bytes(peak: int | None, estimated: int | None) -> int:
    """Return the bytes by which a trial exceeded its estimate; 0 if unknown."""
    return max(0, peak - estimated) if peak is not None and estimated is not None else 0


def memory_excess_bytes(records: Iterable[TrialRecord]) -> int:
    """Return the most bytes by which any of the trials exceeded its estimate."""
    return max(
        (excess_bytes(each.peak_memory_bytes, each.estimated_memory_bytes) for each in records),
        default=0,
    )


class FollowingLimiter(DriverOnly, ConcurrencyLimiter):
    """Ray's limiter of live trials, with a limit that follows the cluster.

    Without a limit, Ray 2.60 keeps a proposal waiting for room; it would be made before the
    running trials report their results.

    It also corrects trials' memory requests. Ray 2.60 pickles the function that returns a trial's
    request, so what is learnt during the search travels in the proposal.
    """

    def __init__(
        self,
        searcher: Searcher,
        concurrency: Callable[[], int],
        stopper: SearchStopper,
        memory_excess_bytes: int = 0,
    ) -> None:
        """Limit a searcher.

        Args:
            searcher: Proposes trials.
            concurrency: Returns how many trials run at once.
            stopper: Ends the search.
            memory_excess_bytes: `memory_excess_bytes` of the earlier trials.
        """
        super().__init__(searcher, max_concurrent=concurrency())
        self._concurrency, self._stopper = concurrency, stopper
        self._memory_excess_bytes = memory_excess_bytes

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Propose a trial; None while there is no room, FINISHED when the time is up."""
        if self._stopper.timed_out:
            return str(Searcher.FINISHED)
        self.max_concurrent = self._concurrency()
        proposal: dict[str, Any] | str | None = super().suggest(trial_id)
        if isinstance(proposal, dict):
            proposal[MEMORY_EXCESS] = self._memory_excess_bytes
        return proposal

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Pass it on."""
        self._learn_memory(result)
        super().on_trial_result(trial_id, result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Pass it on; a trial that was cut off has not ended, so only its report is passed on."""
        self._learn_memory(result or {})
        is_cut = self._stopper.timed_out and self._stopper.has_cut_off(trial_id)
        if result is not None and not error and is_cut:
            self.live_trials.discard(trial_id)
            self.searcher.on_trial_result(trial_id, result)
        else:
            super().on_trial_complete(trial_id, result, error)

    def _learn_memory(self, result: dict[str, Any]) -> None:
        excess = excess_bytes(result.get(PEAK_MEMORY), result.get(ESTIMATED_MEMORY))
        self._memory_excess_bytes = max(self._memory_excess_bytes, excess)

    def get_state(self) -> dict[str, Any]:
        """Give Ray nothing to pickle into its experiment state, which we never read back."""
        return {}
