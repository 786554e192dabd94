"""Writes the tables and the page of a running search, in its own thread.

With 10,000 trials, each takes seconds; in Ray's loop, all workers would wait that long.
"""

import logging
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from tune.records.load import read_run
from tune.records.run_folder import RunFolder
from tune.records.tables import Table
from tune.records.trial import Status, TrialRecord

SAVE_SHARE = 0.05
"""Approximate largest share of the time spent on tables, however many trials there are."""
PAGE_SECONDS = 20.0
"""Shortest interval between two writes of the page, in seconds."""
PAGE_SHARE = 0.02
"""Approximate largest share of the time spent on pages."""
_log = logging.getLogger(__name__)


class LiveFiles:
    """A context manager: while it is open, tables are written as trials report."""

    def __init__(self, folder: RunFolder) -> None:
        """Write into a run's folder."""
        self._folder = folder
        self._page_rests_until = 0.0
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="live files")
        self._writing: Future[None] | None = None
        self._ending = threading.Event()

    def __enter__(self) -> "LiveFiles":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Wait for the write in progress.

        Raises:
            OSError: A table could not be written.
        """
        self._ending.set()
        self._executor.shutdown()
        if kind is None and self._writing is not None:
            self._writing.result()

    def save(self, records: Iterable[TrialRecord]) -> None:
        """Start writing the tables, and sometimes the page.

        Do nothing while the previous write is unfinished or recent: the caller calls again with
        the next trial.

        Args:
            records: All trials.

        Raises:
            OSError: The previous write failed.
        """
        if self._writing is not None:
            if not self._writing.done():
                return
            self._writing.result()
        # Other trials may change during the write; a trial paused at a rung may continue.
        of_now = [
            each if each.has_ended and each.status is not Status.PRUNED else each.copy()
            for each in records
        ]
        self._writing = self._executor.submit(self._write, of_now)

    def save_all(self, records: Iterable[TrialRecord]) -> None:
        """Write the tables and the page in this thread, now: the search has ended.

        Raises:
            OSError: A table cannot be written.
        """
        assert self._writing is None or self._writing.done()
        self._page_rests_until = 0.0
        self.write_page(self._folder.write_tables(list(records)))

    def _write(self, records: list[TrialRecord]) -> None:
        """Write, then block the thread until it may write again; errors end the search."""
        start = time.monotonic()
        tables = self._folder.write_tables(records)
        seconds = time.monotonic() - start
        self.write_page(tables)
        self._ending.wait(seconds / SAVE_SHARE)

    def write_page(self, tables: tuple[Table, Table]) -> None:
        """Write the page if the last write is old enough and there is something to show."""
        start = time.monotonic()
        if start < self._page_rests_until or tables[1].empty:
            return
        try:
            from tune.reporting.page import write_page  # the first import takes 0.1 s

            write_page(read_run(self._folder, tables), self._folder)
        except Exception:  # the tables are written; a page must not end a long search
            _log.warning("report.html could not be written", exc_info=True)
        end = time.monotonic()
        self._page_rests_until = end + max(PAGE_SECONDS, (end - start) / PAGE_SHARE)
