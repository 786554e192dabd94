"""Where a search stands: who leads, how many trials are where. For the display and tune.status."""

import dataclasses
from collections import Counter
from collections.abc import Iterable

from search_spaces import SearchSpace
from tune.records.trial import Status, TrialRecord


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SearchState:
    """Where a search stands.

    Attributes:
        best: The trial with the lowest objective so far, None before the first epoch.
        running: The trials that run, by number.
        statuses: Status to number of trials.
        rungs: Epoch of a rung to number of trials that reached it.
    """

    best: TrialRecord | None
    running: list[TrialRecord]
    statuses: dict[Status, int]
    rungs: dict[int, int]

    @classmethod
    def of(cls, records: Iterable[TrialRecord], space: SearchSpace) -> "SearchState":
        """Work it out from all trials so far."""
        return LiveSearchState(space, sorted(records, key=lambda record: record.number)).now()

    @property
    def num_ended(self) -> int:
        """Trials that have nothing more to train."""
        open_statuses = (Status.RUNNING, Status.STOPPED)
        return sum(n for status, n in self.statuses.items() if status not in open_statuses)

    def statuses_text(self) -> str:
        """Return how many trials have which status.

        >>> state = SearchState(best=None, running=[], statuses={Status.PRUNED: 2}, rungs={})
        >>> state.statuses_text()
        '2 PRUNED'
        """
        parts = (f"{number} {status.value}" for status, number in self.statuses.items())
        return ", ".join(parts) or "none yet"

    def rungs_text(self) -> str:
        """Return how many trials reached each rung.

        >>> SearchState(best=None, running=[], statuses={}, rungs={1: 8, 3: 2}).rungs_text()
        'epoch 1: 8, epoch 3: 2'
        """
        return ", ".join(f"epoch {rung}: {number}" for rung, number in self.rungs.items())


class LiveSearchState:
    """Where a search stands while it runs: a trial is looked at when it changes.

    Attributes:
        best: The trial with the lowest objective so far, the first of equals.
    """

    def __init__(self, space: SearchSpace, records: Iterable[TrialRecord] = ()) -> None:
        """Begin with the trials of earlier sessions.

        Args:
            space: What is searched.
            records: Those trials.
        """
        self.best: TrialRecord | None = None
        self._running: dict[int, TrialRecord] = {}
        self._statuses: Counter[Status] = Counter()
        self._reached = dict.fromkeys(space.budget.rungs(max(space.values("epochs"))), 0)
        # Trial number to status and epochs as they were counted last.
        self._counted: dict[int, tuple[Status, int]] = {}
        for record in records:
            self.see(record)

    def see(self, record: TrialRecord) -> None:
        """Learn how a trial is now."""
        if record.best and (self.best is None or record.objective < self.best.objective):
            self.best = record
        if record.number in self._counted:
            self._count(*self._counted[record.number], -1)
        self._counted[record.number] = (record.status, len(record.epochs))
        self._count(*self._counted[record.number], +1)
        if record.status == Status.RUNNING:
            self._running[record.number] = record
        else:
            self._running.pop(record.number, None)

    def number_of(self, status: Status) -> int:
        """Return how many trials have a status."""
        return self._statuses[status]

    def now(self) -> SearchState:
        """Return where the search stands."""
        running = list(self._running.values())  # a display asks from a thread of its own
        return SearchState(
            best=self.best,
            running=sorted(running, key=lambda record: record.number),
            statuses={
                status: self._statuses[status] for status in Status if self._statuses[status]
            },
            rungs=dict(self._reached),
        )

    def _count(self, status: Status, num_epochs: int, trials: int) -> None:
        self._statuses[status] += trials
        for rung in self._reached:
            if num_epochs >= rung:
                self._reached[rung] += trials


def axis_values(record: TrialRecord, axes: Iterable[str]) -> str:
    """Return a trial's values of the axes but for epochs, in short."""
    values = record.config.to_dict()
    return " ".join(f"{axis}={short(values[axis])}" for axis in axes if axis != "epochs")


def short(value: object) -> str:
    """Return a value with three digits.

    >>> short(0.123456), short(512), short("lower")
    ('0.123', '512', 'lower')
    """
    return f"{value:.3g}" if isinstance(value, float) else str(value)
