"""Ends a search early: at its time budget, or when the user asks."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ray.tune.stopper import Stopper

from model.errors import ExternalFault
from model.system.terminal import SIGNALS, EndOnSignal
from tune.records.trial import Outcome
from tune.trials.driver_only import DriverOnly

GRACE_SECONDS, GRACE_SHARE = 10.0, 0.05
"""Time after the budget's end in which trials may still report: the longer of these seconds and
this share of the budget. Ray 2.60 waits up to 10 s for any trial that it stops, and discards what
the trial reports then."""
POLL_SECONDS = 2.0
"""Poll interval of checks that read every trial (reserve, settling), seconds."""
MOST_POLLING = 0.05
"""Their largest share of the time: settling takes 0.3 s after 10,000 trials of 8 reports."""


class SearchStopper(DriverOnly, Stopper):
    """Stops all trials when the time is up or `interrupted` is set.

    Attributes:
        interrupted: Whether a signal, or a user's order, asked for the end.
        timed_out: Whether the time budget ran out.
        ended_early: Why further trials promise nothing, set once that is known; it ends the
            search.
        is_settled: Whether the reason is that the rest would gain no more than noise.
        unwritable: Why and where a trial cannot write its checkpoints, set once that is known; it
            ends the search.
    """

    def __init__(
        self,
        time_budget_seconds: float | None,
        *,
        spent_seconds: float = 0.0,
        reserve_seconds: Callable[[], float] = lambda: 0.0,
        may_be_late: bool = False,
        has_had_its_time: Callable[[dict[str, Any]], bool] = lambda result: False,
        why_settled: Callable[[], str] = lambda: "",
        carry_out: Callable[[], None] = lambda: None,
    ) -> None:
        """Count a time budget.

        Args:
            time_budget_seconds: Seconds for the whole search; None for no limit.
            spent_seconds: Seconds spent by earlier sessions.
            reserve_seconds: Returns the seconds to reserve.
            may_be_late: Whether trials continue to train in the time after the budget's end.
            has_had_its_time: Given a report, returns whether its trial has used its own share.
            why_settled: Returns why further trials would gain nothing, or an empty text; called
                now and then.
            carry_out: Carries out users' orders; called in the thread that changes the records.
        """
        self.interrupted = self._is_signalled = False
        self._carry_out = carry_out
        self._to_stop: set[int] = set()
        self._at_once = False
        self.timed_out = False
        self.unwritable: str | None = None
        self.ended_early, self.is_settled = "", False
        self._may_be_late = may_be_late
        self.set_time_budget(time_budget_seconds)
        self._spent_seconds = spent_seconds
        self._reserve_seconds, self._has_had_its_time = reserve_seconds, has_had_its_time
        self._why_settled = why_settled
        self._num_running: Callable[[], int] = lambda: 0
        self._grace_ends = float("inf")
        self._cut_off: dict[str, bool] = {}  # Ray's id to whether its own time was up
        # Updated only in stop_all, which Ray calls in the thread that changes the records; the
        # display reads the seconds left from its own thread.
        self._reserve, self._next_poll = 0.0, float("-inf")
        self._start = time.monotonic()

    def set_time_budget(self, seconds: float | None) -> None:
        """Replace the time budget, counted from the search's start; None for no limit."""
        self._time_budget_seconds = seconds
        grace_seconds = max(GRACE_SECONDS, GRACE_SHARE * (seconds or 0.0))
        self._late_seconds = grace_seconds if self._may_be_late else 0.0
        self._grace_seconds = GRACE_SECONDS if self._may_be_late else grace_seconds

    def stop_trial(self, number: int) -> None:
        """Make a trial end with its next report."""
        self._to_stop.add(number)

    def start(self, num_running: Callable[[], int] = lambda: 0) -> None:
        """Start counting this session's time.

        Args:
            num_running: Returns the number of running trials; called when the time is up.
        """
        self._start, self._num_running = time.monotonic(), num_running

    def seconds(self) -> float:
        """Return the seconds that the search has run, including earlier sessions."""
        return self._spent_seconds + time.monotonic() - self._start

    def seconds_left(self) -> float | None:
        """Return what is left of the time budget, less the reserve; None without a budget."""
        left = self._until_end()
        return None if left is None else max(0.0, left)

    def _until_end(self) -> float | None:
        """Return the same, but negative after the end."""
        if self._time_budget_seconds is None:
            return None
        return self._time_budget_seconds - self._reserve - self.seconds()

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return whether a trial must end with this report: the time is up, or its own is."""
        wants_more = result.get("outcome") == Outcome.TRAINING
        is_stopped = bool(self._to_stop) and result["config"]["number"] in self._to_stop
        if wants_more and (self.timed_out or is_stopped):
            self._cut_off.setdefault(trial_id, False)
            return True
        if wants_more and self._has_had_its_time(result):
            self._cut_off[trial_id] = True
            return True
        # It may have been cut off, lost its worker during the save, and finished now.
        self._cut_off.pop(trial_id, None)
        return False

    def end_early(self, reason: str) -> None:
        """End the search, because further trials promise nothing."""
        self.ended_early = reason

    def has_cut_off(self, trial_id: str) -> bool:
        """Return whether a trial, by Ray's id, was still training when the time was up."""
        return trial_id in self._cut_off

    def has_used_its_time(self, trial_id: str) -> bool:
        """Return whether it was the trial's own share of time that was up, not the search's."""
        return self._cut_off.get(trial_id, False)

    def stop_all(self) -> bool:
        """Return whether the search must end now, whatever its trials are doing."""
        self._carry_out()
        if (start := time.monotonic()) > self._next_poll:
            self._reserve = self._reserve_seconds()
            if not self.ended_early:
                self.ended_early = self._why_settled()
                self.is_settled = bool(self.ended_early)
            end = time.monotonic()
            self._next_poll = end + max(POLL_SECONDS, (end - start) / MOST_POLLING)
        left = self._until_end()
        if not self.timed_out and left is not None and left + self._late_seconds <= 0.0:
            self.timed_out = True
            self._grace_ends = time.monotonic() + self._grace_seconds
        is_over = self.timed_out and (
            time.monotonic() > self._grace_ends or self._num_running() == 0
        )
        return is_over or self.interrupted or bool(self.ended_early or self.unwritable)

    def check(self) -> None:
        """Raise if the storage or a second signal ended the trials.

        Raises:
            ExternalFault: The storage cannot be written.
            KeyboardInterrupt: There was a second signal. When raised in one of Ray's callbacks, it
                may have been lost (seen once in four runs with Ray 2.60).
        """
        if self._at_once:
            raise KeyboardInterrupt
        if self.unwritable is not None:
            raise ExternalFault(
                f"a trial must be able to write its checkpoints: {self.unwritable}"
            )

    @contextmanager
    def catching_signals(self) -> Iterator[None]:
        """Turn the first signal of SIGNALS into a graceful end; a second one ends at once.

        A signal that came before counts as the first: its exception was lost.
        """
        handlers = {number: signal.getsignal(number) for number in SIGNALS}
        previous = {n: handler for n, handler in handlers.items() if handler != signal.SIG_IGN}
        ours = [each for each in previous.values() if isinstance(each, EndOnSignal)]

        def interrupt(number: int, frame: FrameType | None) -> None:
            for handler in ours:
                handler.note(number)
            self._at_once = self._is_signalled
            self.interrupted = self._is_signalled = True
            if self._at_once:
                raise KeyboardInterrupt

        for number in previous:
            signal.signal(number, interrupt)
        if any(handler.first is not None for handler in ours):
            self.interrupted = self._is_signalled = True
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
        if self._at_once:  # lost after `check`
            raise KeyboardInterrupt
