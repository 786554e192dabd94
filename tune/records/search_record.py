"""Record of a whole search: its trials, its orders, and whether it has ended."""

import dataclasses

from tune.records.orders import OrderRecord
from tune.records.trial import TrialRecord


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SearchEnded:
    """The end of a search, before its finalists.

    Attributes:
        search_seconds: When it ended.
        timed_out: Whether its time budget ended it.
        ended_early: Why it ended before its budget did, or empty.
        is_settled: Whether the reason was that the rest would gain no more than noise.
        trials: Number of trials requested.
        time_budget_seconds: Its time budget; None if unlimited.
    """

    search_seconds: float
    timed_out: bool
    ended_early: str
    is_settled: bool
    trials: int
    time_budget_seconds: float | None

    def apply(self, search: "SearchRecord") -> None:
        """Note the end."""
        search.ended = self


@dataclasses.dataclass(kw_only=True, slots=True)
class SearchRecord:
    """A search so far.

    Attributes:
        records: Trial number to record.
        orders: Id to user's order, in order of arrival.
        ended: How it ended; None if it has not, if it continued, and in runs from before
            2026-11-30.
        pauses: Start and end of each time between an end and a continuation, in seconds from the
            search's start.
    """

    records: dict[int, TrialRecord] = dataclasses.field(default_factory=dict)
    orders: dict[str, OrderRecord] = dataclasses.field(default_factory=dict)
    ended: SearchEnded | None = None
    pauses: list[tuple[float, float]] = dataclasses.field(default_factory=list)

    def goes_on(self, search_seconds: float) -> None:
        """Note that a trial starts; if the search had ended, it continues."""
        if self.ended is not None:
            self.pauses.append((self.ended.search_seconds, search_seconds))
            self.ended = None

    def searched_seconds(self, search_seconds: float) -> float:
        """Return the seconds since the search's start, without its pauses."""
        pauses = [*self.pauses]
        if self.ended is not None:
            pauses.append((self.ended.search_seconds, search_seconds))
        paused = sum(max(0.0, min(end, search_seconds) - begin) for begin, end in pauses)
        return max(0.0, search_seconds - paused)
