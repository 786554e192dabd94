"""A search's history: one line a start, an epoch, an end; the tables are made from it.

Each event is appended and handed to the operating system at once, so a driver that is killed
loses none. Live and read again, a record comes from its events by the same code. The open
file is also the lock of its run: a second driver is refused, and a dead one holds nothing.
"""

import contextlib
import fcntl
import io
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from model.errors import ConfigError
from tune.history_events import Event, apply_event, event_of, line_of
from tune.trial_record import TrialRecord

LOCK_TRIES, LOCK_REST_SECONDS = 4, 0.05


class History:
    """The events of a search, in a file, and the records that they make; a context manager.

    Attributes:
        records: Trial number to record.
    """

    def __init__(self, path: Path) -> None:
        """Open a history, or begin one; what is there already is read.

        Raises:
            ConfigError: Another process has it open, it cannot be written, or it is damaged.
        """
        self.records: dict[int, TrialRecord] = {}
        try:
            # Without a buffer: what cannot be written must not be tried again later.
            self._file = path.open("ab+", buffering=0)
        except PermissionError as error:
            raise ConfigError(f"a run that goes on must be writable, got {path.parent}") from error
        try:
            _lock(self._file)
        except BlockingIOError as error:
            self._file.close()
            raise _two_drivers(path) from error
        self._file.seek(0)
        text = self._file.read()
        whole = whole_lines(text)
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                apply_event(self.records, event_of(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                self._file.close()
                raise ConfigError(f"damaged history: {path}, line {number}: {error!r}") from error
        if whole != text:  # a driver was killed while it wrote
            self._file.truncate(len(whole))

    def __enter__(self) -> "History":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, event: Event) -> TrialRecord:
        """Append an event and return the record of its trial.

        Raises:
            OSError: It cannot be written, for the disk is full, say; then nothing of it is.
        """
        line = line_of(event)
        end = self._file.seek(0, io.SEEK_END)
        try:
            while line:  # a disk that becomes full takes a part of it
                line = line[self._file.write(line) :]
        except OSError:
            with contextlib.suppress(OSError):  # half a line is cut off on reading too
                self._file.truncate(end)
            raise
        return apply_event(self.records, event)

    def seconds(self) -> float:
        """Return the seconds that the search has run, up to its last event."""
        return seconds_run(self.records)


def seconds_run(records: Mapping[int, TrialRecord]) -> float:
    """Return the seconds that a search has run, up to the last event of its records."""
    return max((record.search_seconds for record in records.values()), default=0.0)


def read_history(path: Path) -> dict[int, TrialRecord]:
    """Return the records of a history that a driver may be writing: trial number to record.

    A line that is not whole yet is left out, and so is all that a damaged file has from the
    damage on.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"a history must be readable: {path}: {error.strerror}") from error
    records: dict[int, TrialRecord] = {}
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
        for line in whole_lines(text).splitlines():
            apply_event(records, event_of(line))
    return records


def records_so_far(path: Path) -> dict[int, TrialRecord]:
    """Return the records of a history; none where its driver was killed before it began one.

    Raises:
        ConfigError: It cannot be read.
    """
    return read_history(path) if path.exists() else {}


def has_driver(path: Path) -> bool:
    """Return whether a process has a history open to write it.

    Also on another machine, where the file system keeps locks between machines (NFS does). The
    lock that is tried is held for an instant only.
    """
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def check_no_driver(path: Path) -> None:
    """Refuse a run that is being written: its lock is taken later, when Ray has started.

    Raises:
        ConfigError: Another process has its history open.
    """
    if has_driver(path):
        raise _two_drivers(path)


def _two_drivers(path: Path) -> ConfigError:
    return ConfigError(f"a run must have one driver, but another process writes to {path.parent}")


def _lock(file: BinaryIO) -> None:
    """Lock a file for this process; whoever only asks for its driver has it for an instant.

    Raises:
        BlockingIOError: Another process holds it.
    """
    for _ in range(LOCK_TRIES - 1):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOCK_REST_SECONDS)
        else:
            return
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def whole_lines(data: bytes) -> bytes:
    r"""Return a history without a line that its driver was killed in.

    >>> whole_lines(b'{"a": 1}\n{"b"')
    b'{"a": 1}\n'
    """
    return data[: data.rfind(b"\n") + 1]
