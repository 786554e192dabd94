"""Keeps report.html fresh while a search runs, at little cost."""

import logging
import time

from tune.page import write_page
from tune.records.run_folder import RunFolder
from tune.records.tables import Table

PAGE_SECONDS = 20.0
"""The page is written at most so often."""
PAGE_SHARE = 0.02
"""Writing it takes at most about this share of the time, however many trials there are."""

_log = logging.getLogger(__name__)


class LivePage:
    """Writes the page of a search now and then."""

    def __init__(self, folder: RunFolder) -> None:
        """Write into a run's folder."""
        self._folder = folder
        self._rest_until = 0.0

    def write(self, tables: tuple[Table, Table], *, at_once: bool = False) -> None:
        """Write the page if its last time lies long enough back and there is anything to show.

        Args:
            tables: The trials and the epochs, as they were just written.
            at_once: Write it however short a time ago it was written.
        """
        start = time.monotonic()
        rests = start < self._rest_until and not at_once
        if rests or tables[1].empty:
            return
        try:
            write_page(self._folder, light=True, tables=tables)
        except Exception:  # the tables are safe: a page must never end a search of hours
            _log.warning("report.html could not be written", exc_info=True)
        end = time.monotonic()
        self._rest_until = end + max(PAGE_SECONDS, (end - start) / PAGE_SHARE)
