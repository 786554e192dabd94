"""What is known of a search as a whole: its trials, its orders, and whether it came to its end."""

import dataclasses

from tune.records.orders import OrderRecord
from tune.records.trial import TrialRecord


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SearchEnded:
    """A search came to its end; what follows are its finalists.

    Attributes:
        search_seconds: When.
        timed_out: Whether its time budget ended it.
        ended_early: Why it ended before its budget did, or empty.
        is_settled: Whether that was because the rest would have gained no more than noise.
        trials: How many trials it was asked for.
        time_budget_seconds: Its time budget; None is without limit.
    """

    search_seconds: float
    timed_out: bool
    ended_early: str
    is_settled: bool
    trials: int
    time_budget_seconds: float | None


@dataclasses.dataclass(kw_only=True, slots=True)
class SearchRecord:
    """What is known of a search so far.

    Attributes:
        records: Trial number to record.
        orders: Id to what a user ordered, as they came.
        ended: How it ended; None while it has not, where it goes on, and in runs of before
            2026-11-30.
        pauses: From when to when a search that goes on had ended, in seconds from its start.
    """

    records: dict[int, TrialRecord] = dataclasses.field(default_factory=dict)
    orders: dict[str, OrderRecord] = dataclasses.field(default_factory=dict)
    ended: SearchEnded | None = None
    pauses: list[tuple[float, float]] = dataclasses.field(default_factory=list)

    def goes_on(self, search_seconds: float) -> None:
        """Learn that a trial starts; a search that had ended has not ended any more."""
        if self.ended is not None:
            self.pauses.append((self.ended.search_seconds, search_seconds))
            self.ended = None

    def searched_seconds(self, search_seconds: float) -> float:
        """Return how much of the seconds from its start it has searched, and not paused."""
        pauses = [*self.pauses]
        if self.ended is not None:
            pauses.append((self.ended.search_seconds, search_seconds))
        paused = sum(max(0.0, min(end, search_seconds) - begin) for begin, end in pauses)
        return max(0.0, search_seconds - paused)
