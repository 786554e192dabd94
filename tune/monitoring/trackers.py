"""Passes a search's events to other programs: always to TensorBoard, to others if requested.

Each tracker has its own thread, so none delays the search or another tracker. If one raises or
falls too far behind, it is disabled, with one line, and the search continues.
"""

import functools
import queue
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from rich.console import Console

from model.system.ending import leave_threads
from model.system.secrets import redacted
from tune.monitoring.json_events import warn
from tune.monitoring.tracker import MakesTracker, TrackedSearch, Tracker
from tune.records.trial import TrialRecord

MOST_WAITING = 10_000
"""Maximum number of events that may wait for a tracker."""
CLOSE_SECONDS = 60.0
"""Longest wait, after a search, for all trackers to process what is left."""


class _Failed(Exception):
    """A tracker raised or is too slow; the message says which."""


class _Background:
    """A tracker in a thread; after it has raised, it gets no events."""

    def __init__(self, name: str, make: Callable[[], Tracker]) -> None:
        self.name = name
        self._events: queue.Queue[tuple[str, tuple[TrialRecord, ...]]] = queue.Queue(MOST_WAITING)
        self._failure = ""
        self._abandoned = False
        self._thread = threading.Thread(target=self._run, args=[make], daemon=True, name=name)
        self._thread.start()

    def tell(self, event: str, *values: TrialRecord) -> None:
        """Queue an event for the tracker.

        Raises:
            _Failed: It has raised meanwhile, or is MOST_WAITING events behind.
        """
        self._raise_failure()
        try:
            self._events.put_nowait((event, values))
        except queue.Full:
            raise _Failed(f"it is {MOST_WAITING:,} events behind") from None

    def join(self, deadline: float) -> None:
        """Wait until it has received everything, including `close`.

        Args:
            deadline: A time of time.monotonic.

        Raises:
            _Failed: It has not, or it raised.
        """
        while self._thread.is_alive() and time.monotonic() < deadline:
            self._thread.join(0.1)  # Ctrl-C ends the wait
        self._raise_failure()
        if self._thread.is_alive():
            raise _Failed(f"it did not process its last events within {CLOSE_SECONDS:g} s")

    def abandon(self) -> None:
        """Send it nothing more; wait neither for it nor for threads of its own."""
        self._abandoned = True
        leave_threads()

    def _raise_failure(self) -> None:
        if self._failure:
            raise _Failed(self._failure)

    def _run(self, make: Callable[[], Tracker]) -> None:
        try:
            tracker, event = make(), ""
            while event != "close":
                event, values = self._events.get()
                if self._abandoned:
                    return
                getattr(tracker, event)(*values)
        except BaseException as error:  # foreign code: also SystemExit
            reason = redacted(" ".join(str(error).split()))
            self._failure = reason or type(error).__name__


class Trackers(AbstractContextManager["Trackers"]):
    """All trackers of a search, as one listener; a context manager."""

    def __init__(
        self, search: TrackedSearch, asked_for: Mapping[str, MakesTracker], console: Console
    ) -> None:
        """Start the trackers.

        Args:
            search: What the trackers are created with.
            asked_for: What creates them, by the name used for a failure; TensorBoard is added.
            console: Where the one line goes if one fails.
        """
        self._console = console
        makers: dict[str, MakesTracker] = {"TensorBoard": _tensorboard_log, **asked_for}
        self._trackers = [
            _Background(name, functools.partial(make, search)) for name, make in makers.items()
        ]

    def __exit__(self, *_: object) -> None:
        deadline = time.monotonic() + CLOSE_SECONDS
        self._each(lambda tracker: tracker.tell("close"))
        self._each(lambda tracker: tracker.join(deadline))

    def trial_started(self, record: TrialRecord) -> None:
        """Pass on that a trial started or continues."""
        self._tell("trial_started", record)

    def epoch_ended(self, record: TrialRecord) -> None:
        """Pass on a trial's report."""
        self._tell("epoch_ended", record)

    def trial_recovered(self, record: TrialRecord, reason: str) -> None:
        """Pass on nothing: trackers see no difference."""

    def trial_ended(self, record: TrialRecord) -> None:
        """Pass on that a trial ended."""
        self._tell("trial_ended", record)

    def _tell(self, event: str, record: TrialRecord) -> None:
        copy = record.copy()
        self._each(lambda tracker: tracker.tell(event, copy))

    def _each(self, do: Callable[[_Background], None]) -> None:
        for tracker in list(self._trackers):
            try:
                do(tracker)
            except _Failed as error:
                self._trackers.remove(tracker)
                tracker.abandon()
                text = f"{tracker.name} failed and is disabled for this search: {error}"
                warn(self._console, text)


def _tensorboard_log(search: TrackedSearch) -> Tracker:
    from tune.monitoring.tensorboard_log import TensorBoardLog  # in the tracker's thread: 0.1 s

    return TensorBoardLog(search)
