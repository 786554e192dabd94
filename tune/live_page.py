"""Keeps report.html fresh while a search runs, at little cost."""

import logging
import time

from tune.page import write_page
from tune.run_folder import RunFolder
from tune.trial_record import TrialRecord

PAGE_SECONDS = 20.0
"""The page is written at most so often."""
PAGE_SHARE = 0.02
"""Writing it takes at most about this share of the time, however many trials there are."""

_log = logging.getLogger(__name__)


class LivePage:
    """Saves the tables of a search as they come, and the page now and then."""

    def __init__(self, folder: RunFolder) -> None:
        """Write into a run's folder."""
        self._folder = folder
        self._rest_until = 0.0

    def save(self, records: list[TrialRecord], *, at_once: bool = False) -> None:
        """Write the tables, and the page if its last time lies long enough back.

        Args:
            records: All trials.
            at_once: Write the page however short a time ago it was written.
        """
        self._folder.write_tables(records)
        start = time.monotonic()
        rests = start < self._rest_until and not at_once
        if rests or not any(record.epochs for record in records):
            return
        try:
            write_page(self._folder, light=True)
        except Exception:  # the tables are safe: a page must never end a search of hours
            _log.warning("report.html could not be written", exc_info=True)
        end = time.monotonic()
        self._rest_until = end + max(PAGE_SECONDS, (end - start) / PAGE_SHARE)
