"""Compares the memory that trials took with what was estimated: later ones ask for more."""

from collections.abc import Iterable

from model.config import TrialConfig
from model.system.limits import peak_bytes, reset_peak
from tune.cluster.trial_memory import TrialMemory
from tune.records.trial import ESTIMATED_MEMORY, PEAK_MEMORY, TrialRecord


def excess_bytes(peak: int | None, estimated: int | None) -> int:
    """Return how far a trial went beyond its estimate; 0 if it did not, or cannot tell."""
    return max(0, peak - estimated) if peak is not None and estimated is not None else 0


def memory_excess_bytes(records: Iterable[TrialRecord]) -> int:
    """Return how far some trials went beyond their estimates, at most."""
    return max(
        (excess_bytes(each.peak_memory_bytes, each.estimated_memory_bytes) for each in records),
        default=0,
    )


class MeasuredMemory:
    """Follows the trials of one process, which come one after another."""

    def __init__(self, memory: TrialMemory | None) -> None:
        """Compare with an estimate; None where there is none."""
        self._memory = memory
        self._most_needed = 0
        self._estimated_bytes: int | None = None

    def begin(self, config: TrialConfig) -> None:
        """Take the next trial."""
        self._estimated_bytes = None
        if self._memory is None:
            return
        needed = self._memory.needed_bytes(config)
        # A process keeps much of what earlier trials took: a smaller one after them tells nothing.
        if needed >= self._most_needed and reset_peak():
            self._most_needed = self._estimated_bytes = needed

    def values(self) -> dict[str, int | None]:
        """Return the trial's peak so far and its estimate, for its report; None if unknown."""
        peak = peak_bytes() if self._estimated_bytes is not None else None
        return {PEAK_MEMORY: peak, ESTIMATED_MEMORY: self._estimated_bytes}
