"""A search with its own clock: `python tests/support/timed_search.py FLAGS`.

Its `--time-budget` counts epochs as seconds: those that two of its trials have both trained since
the session began. However slow the machine, the budget ends while trials run: an epoch is
estimated to take no time, so no trial gets fewer.
"""

import sys
from collections import Counter
from types import SimpleNamespace
from typing import Any

from tune import run
from tune.planning.estimate import Remaining
from tune.trials import stopper


class EpochClock:
    """Seconds that pass as trials report epochs."""

    def __init__(self) -> None:
        self._epochs: Counter[str] = Counter()

    def see(self, trial_id: str) -> None:
        """Count a trial's epoch."""
        self._epochs[trial_id] += 1

    def monotonic(self) -> float:
        """Return the epochs of the trial with the second most reports."""
        most = self._epochs.most_common(2)
        return float(most[1][1]) if len(most) == 2 else 0.0


def main() -> int:
    """Run a search."""
    clock, decide = EpochClock(), stopper.SearchStopper.__call__

    def see_and_decide(self: Any, trial_id: str, result: dict[str, Any]) -> bool:
        clock.see(trial_id)
        return decide(self, trial_id, result)

    stopper.SearchStopper.__call__ = see_and_decide
    Remaining.epoch_seconds = lambda self, config: 0.0
    stopper.time = SimpleNamespace(monotonic=clock.monotonic)
    return run.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
