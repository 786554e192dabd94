"""Writes the tables and the page of a search while it runs, in a thread of its own.

With 10,000 trials each takes seconds: in Ray's loop all workers would wait for as long.
"""

import logging
import queue
import threading
import time
from collections.abc import Iterable

from tune.records.load import read_run
from tune.records.run_folder import RunFolder
from tune.records.tables import Table
from tune.records.trial import TrialRecord
from tune.reporting.page import write_page

SAVE_SHARE = 0.05
"""Largest share of the time, about, that goes into the tables, however many trials there are."""
PAGE_SECONDS = 20.0
"""Shortest interval between two writes of the page, seconds."""
PAGE_SHARE = 0.02
"""Largest share of the time, about, that goes into pages."""
_log = logging.getLogger(__name__)


class LiveFiles:
    """A context manager: while it is open, tables are written as trials come."""

    def __init__(self, folder: RunFolder) -> None:
        """Write into a run's folder."""
        self._folder = folder
        self._page_rests_until = 0.0
        self._given: queue.SimpleQueue[list[TrialRecord] | None] = queue.SimpleQueue()
        self._is_free = True
        self._ending = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name="live files")

    def __enter__(self) -> "LiveFiles":
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Wait until what is being written is.

        Raises:
            OSError: A table could not be written.
        """
        self._ending.set()
        self._given.put(None)
        self._thread.join()
        if kind is None:
            self._raise_error()

    def save(self, records: Iterable[TrialRecord]) -> None:
        """Have the tables written, and the page now and then.

        Nothing is done while the last time is not over, or lies a short time back: the caller
        comes again with the next trial.

        Args:
            records: All trials.

        Raises:
            OSError: The tables could not be written the last time.
        """
        self._raise_error()
        if self._is_free:
            self._is_free = False
            # What has ended never changes again; the others do while they are written.
            self._given.put([each if each.has_ended else each.copy() for each in records])

    def save_all(self, records: Iterable[TrialRecord]) -> None:
        """Write the tables and the page, now and here: the search is over.

        Raises:
            OSError: A table cannot be written.
        """
        assert not self._thread.is_alive()
        self._page_rests_until = 0.0
        self.write_page(self._folder.write_tables(list(records)))

    def _run(self) -> None:
        while (records := self._given.get()) is not None:
            start = time.monotonic()
            try:
                tables = self._folder.write_tables(records)
                seconds = time.monotonic() - start
                self.write_page(tables)
            except Exception as error:  # raised where the search is: it ends there
                self._error = error
                return
            self._ending.wait(seconds / SAVE_SHARE)
            self._is_free = True

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def write_page(self, tables: tuple[Table, Table]) -> None:
        """Write the page if its last time lies long enough back and there is anything to show."""
        start = time.monotonic()
        if start < self._page_rests_until or tables[1].empty:
            return
        try:
            write_page(read_run(self._folder, tables), self._folder)
        except Exception:  # the tables are safe: a page must never end a search of hours
            _log.warning("report.html could not be written", exc_info=True)
        end = time.monotonic()
        self._page_rests_until = end + max(PAGE_SECONDS, (end - start) / PAGE_SHARE)
