"""How many trials run at once: what fits into the cluster now, not what fitted when it began."""

import time
from collections.abc import Callable
from typing import Any

from ray.tune.search import ConcurrencyLimiter, Searcher

from tune.resources import Node, TrialResources, num_fitting

ASKED_SECONDS = 2.0
"""The cluster is asked for its nodes so often."""


class Concurrency:
    """Says how many trials run at once, at least one."""

    def __init__(
        self, nodes: Callable[[], list[Node]], need: TrialResources, max_concurrent: int | None
    ) -> None:
        """Follow a cluster.

        Args:
            nodes: Returns what there is now.
            need: What a trial takes.
            max_concurrent: The most that the user wants; None is no limit.
        """
        self._nodes, self._need, self._max_concurrent = nodes, need, max_concurrent
        self._asked, self._fitting = float("-inf"), 1

    def __call__(self) -> int:
        """Return how many run at once now."""
        if time.monotonic() > self._asked + ASKED_SECONDS:
            self._asked, self._fitting = time.monotonic(), num_fitting(self._nodes(), self._need)
        most = self._fitting if self._max_concurrent is None else self._max_concurrent
        return max(1, min(self._fitting, most))


class FollowingLimiter(ConcurrencyLimiter):
    """Ray's limiter of live trials, with a limit that follows the cluster.

    Without any limit Ray 2.60 keeps a proposal waiting for room: it would be made before the
    trials that run have told what they found.
    """

    def __init__(self, searcher: Searcher, concurrency: Callable[[], int]) -> None:
        super().__init__(searcher, max_concurrent=concurrency())
        self._concurrency = concurrency

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Propose a trial, or None while there is no room for one."""
        self.max_concurrent = self._concurrency()
        proposal: dict[str, Any] | str | None = super().suggest(trial_id)
        return proposal

    def get_state(self) -> dict[str, Any]:
        """Give Ray nothing to pickle into its experiment state, which we never read back."""
        return {}

    def __getstate__(self) -> dict[str, Any]:
        """Ray pickles the searcher too."""
        return {}
