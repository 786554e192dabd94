"""A search's state: the best trial, trials per status and rung. For display and tune.status."""

from collections import Counter
from collections.abc import Iterable

from search_spaces import SearchSpace
from tune.records.trial import Status, TrialRecord


class SearchState:
    """A search's state, updated when a trial changes.

    Attributes:
        best: The trial with the lowest objective so far, the first of equals; None before the
            first report.
        rungs: Report of a rung to number of trials that reached it.
        num_ended: Trials that have nothing left to train, or used up their share of the time as
            baselines.
    """

    def __init__(self, space: SearchSpace, records: Iterable[TrialRecord] = ()) -> None:
        """Start with the trials of earlier sessions.

        Args:
            space: The search space.
            records: Those trials.
        """
        self.best: TrialRecord | None = None
        self.rungs = dict.fromkeys(space.budget.rungs(space.max_reports), 0)
        self.num_ended = 0
        self._epochs_at = space.base.epochs_at
        self._running: dict[int, TrialRecord] = {}
        self._statuses: Counter[Status] = Counter()
        # Trial number to what was last counted for it: it may be promoted or resumed.
        self._counted: dict[int, tuple[Status, int, bool]] = {}
        for record in records:
            self.see(record)

    def see(self, record: TrialRecord) -> None:
        """Learn a trial's present state."""
        if record.best and (self.best is None or record.objective < self.best.objective):
            self.best = record
        if record.number in self._counted:
            self._count(*self._counted[record.number], -1)
        self._counted[record.number] = (record.status, len(record.epochs), record.is_done)
        self._count(*self._counted[record.number], +1)
        if record.status == Status.RUNNING:
            self._running[record.number] = record
        else:
            self._running.pop(record.number, None)

    @property
    def running(self) -> list[TrialRecord]:
        """The running trials, by number."""
        running = list(self._running.values())  # the display calls this from its own thread
        return sorted(running, key=lambda record: record.number)

    @property
    def statuses(self) -> Counter[Status]:
        """Status to number of trials, in the order of Status."""
        return Counter({each: self._statuses[each] for each in Status if self._statuses[each]})

    def statuses_text(self) -> str:
        """Return how many trials have which status: "2 PRUNED, 1 RUNNING"."""
        parts = (f"{number} {status.value}" for status, number in self.statuses.items())
        return ", ".join(parts) or "none yet"

    def rungs_text(self) -> str:
        """Return how many trials were trained to each rung: "epoch 1: 8, epoch 3: 2"."""
        return ", ".join(
            f"epoch {self._epochs_at(rung):g}: {number}" for rung, number in self.rungs.items()
        )

    def _count(self, status: Status, num_reports: int, is_done: bool, trials: int) -> None:
        self._statuses[status] += trials
        if is_done:
            self.num_ended += trials
        for rung in self.rungs:
            if num_reports >= rung:
                self.rungs[rung] += trials


def axis_values(record: TrialRecord, axes: Iterable[str]) -> str:
    """Return a trial's values of all axes but epochs, shortened."""
    values = record.config.to_dict()
    return " ".join(f"{axis}={short(values[axis])}" for axis in axes if axis != "epochs")


def short(value: object) -> str:
    """Return a value with three digits.

    >>> short(0.123456), short(512), short("lower")
    ('0.123', '512', 'lower')
    """
    return f"{value:.3g}" if isinstance(value, float) else str(value)
