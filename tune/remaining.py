"""How long the rest of a search takes, as it goes on: a trial is looked at when it changes.

What is said costs as much as the trials that run, however many have ended.
"""

import bisect
import math

from tune.estimate import Estimate
from tune.records.trial import TrialRecord


class Remaining:
    """What is left of a search: the estimate, as the trials that have ended correct it."""

    def __init__(self, estimate: Estimate) -> None:
        """Begin before the first trial."""
        self._estimate = estimate
        self._open: dict[int, TrialRecord] = {}
        self._ended: set[int] = set()
        self._ratios: list[float] = []  # in order

    def see(self, record: TrialRecord) -> None:
        """Learn how a trial is now."""
        if not record.has_ended:
            self._open[record.number] = record
        elif record.number not in self._ended:
            self._open.pop(record.number, None)
            self._ended.add(record.number)
            for ratio in self._estimate.ratios([record]):
                bisect.insort(self._ratios, ratio)

    def seconds(self) -> float:
        """Return what the rest takes."""
        running = list(self._open.values())  # a display asks from a thread of its own
        num_known = len(self._ended) + len(running)
        return self._correction() * self._estimate.planned_seconds(running, num_known)

    def _correction(self) -> float:
        """Return the median of measured by predicted; between two, what is as far from both."""
        ratios = self._ratios
        middle = len(ratios) // 2
        if not ratios:
            return 1.0
        return math.sqrt(ratios[middle] * ratios[len(ratios) - 1 - middle])
