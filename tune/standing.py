"""Where a search stands: who leads, how many trials are where. For the display and tune.status."""

import dataclasses
from collections import Counter
from collections.abc import Iterable

from search_spaces import SearchSpace
from tune.trial_record import Status, TrialRecord


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
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
    def of(cls, records: Iterable[TrialRecord], space: SearchSpace) -> "Standing":
        """Work it out from all trials so far."""
        known = sorted(records, key=lambda record: record.number)
        counts = Counter(record.status for record in known)
        measured = [record for record in known if record.best]
        rungs = space.budget.rungs(max(space.values("epochs")))
        return cls(
            best=min(measured, key=lambda record: record.objective, default=None),
            running=[record for record in known if record.status == Status.RUNNING],
            statuses={status: counts[status] for status in Status if counts[status]},
            rungs={rung: sum(len(record.epochs) >= rung for record in known) for rung in rungs},
        )

    @property
    def num_ended(self) -> int:
        """Trials that have nothing more to train."""
        open_statuses = (Status.RUNNING, Status.STOPPED)
        return sum(n for status, n in self.statuses.items() if status not in open_statuses)

    def statuses_text(self) -> str:
        """Return how many trials have which status.

        >>> Standing(best=None, running=[], statuses={Status.PRUNED: 2}, rungs={}).statuses_text()
        '2 PRUNED'
        """
        parts = (f"{number} {status.value}" for status, number in self.statuses.items())
        return ", ".join(parts) or "none yet"

    def rungs_text(self) -> str:
        """Return how many trials reached each rung.

        >>> Standing(best=None, running=[], statuses={}, rungs={1: 8, 3: 2}).rungs_text()
        'epoch 1: 8, epoch 3: 2'
        """
        return ", ".join(f"epoch {rung}: {number}" for rung, number in self.rungs.items())


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
