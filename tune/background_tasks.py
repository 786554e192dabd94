"""Runs tasks one after the other beside the search; a process never waits for them to end.

A thread of Python's own executors is waited for when the process ends, however long a server
that does not answer takes.
"""

import queue
import threading
import time
from collections.abc import Callable
from typing import Any


class BackgroundTasks:
    """A queue of tasks with one thread; after one that raises none is run."""

    def __init__(self, name: str) -> None:
        """Start the thread.

        Args:
            name: The thread's name.
        """
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._failure: Exception | None = None
        self._abandoned = False
        self._thread = threading.Thread(target=self._run, daemon=True, name=name)
        self._thread.start()

    def submit(self, task: Callable[..., None], *values: Any) -> None:
        """Have a task run after those before it.

        Raises:
            Exception: What one of those raised.
        """
        self._raise_failure()
        self._tasks.put(lambda: task(*values))

    def close(self, wait_seconds: float) -> None:
        """Wait until all have run.

        Args:
            wait_seconds: At most so long.

        Raises:
            TimeoutError: Some are left.
            Exception: What one of them raised.
        """
        self._tasks.put(None)
        deadline = time.monotonic() + wait_seconds
        while self._thread.is_alive() and time.monotonic() < deadline:
            self._thread.join(0.1)  # Ctrl-C ends the wait
        self._raise_failure()
        if self._thread.is_alive():
            left = self._tasks.qsize()
            raise TimeoutError(f"{left} events could not be sent within {wait_seconds:g} s")

    def abandon(self) -> None:
        """Run no other, and wait for none."""
        self._abandoned = True
        self._tasks.put(None)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None and not self._abandoned:
            try:
                task()
            except Exception as error:
                self._failure = error
                return
