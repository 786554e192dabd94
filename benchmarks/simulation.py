"""Replays a search on a landscape of recorded curves, on simulated workers and their clock.

Workers are asynchronous and take the true (recorded or predicted) seconds of each epoch. A
method sees what it would see on Ray: it is asked for a configuration when a worker is free,
learns of the epochs in the order in which they end, and may then stop the trial.
"""

import heapq
from dataclasses import dataclass, field
from typing import Any, Protocol

from benchmarks.landscape import Landscape


class Method(Protocol):
    """A search method, as the simulation calls it."""

    def suggest(self, trial: str) -> dict[str, Any]:
        """Return the axes' values of a new trial, or of one that resumes under a new name."""

    def epochs_done(self, trial: str) -> int:
        """Return the number of epochs that a suggested trial has trained under another name."""

    def epoch_ended(self, trial: str, epoch: int, running_best: float, *, last: bool) -> bool:
        """Record an epoch; return whether the trial continues."""


@dataclass(slots=True)
class Search:
    """The results of a simulated search.

    Attributes:
        seconds: Simulated times at which new best values were found.
        values: These values, decreasing.
    """

    seconds: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def best_at(self, seconds: float) -> float:
        """Return the best value so far; infinity before the first epoch."""
        found = [v for s, v in zip(self.seconds, self.values, strict=True) if s <= seconds]
        return found[-1] if found else float("inf")


def simulate(
    method: Method, landscape: Landscape, *, num_workers: int, budget_seconds: float
) -> Search:
    """Run a method until every worker has used up the budget.

    Args:
        method: The method to evaluate.
        landscape: The landscape to search.
        num_workers: Number of parallel trials.
        budget_seconds: Simulated wall-clock time: worker seconds are num_workers times as many.
    """
    search = Search()
    best = float("inf")
    # End of the next epoch, a number that breaks ties, trial, epoch, its running best.
    events: list[tuple[float, int, str, int, float]] = []
    curves: dict[str, tuple[Any, float]] = {}
    order = 0

    def start(now: float) -> None:
        nonlocal order
        order += 1
        trial = f"{len(curves):05d}"
        values, epoch_seconds = curves[trial] = landscape.curve(method.suggest(trial))
        done = method.epochs_done(trial)
        running = min(map(float, values[:done]), default=float("inf"))
        heapq.heappush(events, (now + epoch_seconds, order, trial, done + 1, running))

    for _ in range(num_workers):
        start(0.0)
    while events:
        now, _, trial, epoch, running = heapq.heappop(events)
        if now > budget_seconds:
            break
        values, epoch_seconds = curves[trial]
        running = min(running, float(values[epoch - 1]))
        if running < best:
            best = running
            search.seconds.append(now)
            search.values.append(best)
        last = epoch == len(values)
        if method.epoch_ended(trial, epoch, running, last=last) and not last:
            order += 1
            heapq.heappush(events, (now + epoch_seconds, order, trial, epoch + 1, running))
        else:
            start(now)
    return search
