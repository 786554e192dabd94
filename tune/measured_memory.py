"""What trials' memory is in truth, by what was estimated: it corrects what the next ask for."""

from collections.abc import Iterable

from model.config import TrialConfig
from model.memory import peak_bytes, reset_peak
from tune.records import TrialRecord
from tune.trial_memory import TrialMemory


def memory_excess(records: Iterable[TrialRecord]) -> float:
    """Return what MEMORY_EXCESS begins with after some trials."""
    return max((record.memory_by_estimate or 1.0 for record in records), default=1.0)


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

    def by_estimate(self) -> float | None:
        """Return the trial's peak so far as a multiple of its estimate; None if unknown."""
        return peak_bytes() / self._estimated_bytes if self._estimated_bytes else None
