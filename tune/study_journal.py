"""The file behind the Optuna study of a search: written by its driver, read by optuna-dashboard.

Optuna 5.0's own backend flushes each of a trial's thirty or so entries to the disk and takes a
lock for it: 7 ms each. What is at stake is little, for the journal is made anew from the history
at each start: the history's guarantee is enough, that an entry is given to the system at once and
outlives its process.
"""

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend


class StudyJournal(BaseJournalBackend):
    """Entries of one process: in memory at first, in a file from `move_to` on.

    What Optuna has read is forgotten: it keeps what the entries say.
    """

    def __init__(self) -> None:
        self._path: Path | None = None
        self._lines: list[bytes] = []  # until there is a file
        self._unread: list[dict[str, Any]] = []
        self._num_forgotten = 0

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """Return the entries from a number on; those before it are not asked for again."""
        assert log_number_from >= self._num_forgotten
        del self._unread[: log_number_from - self._num_forgotten]
        self._num_forgotten = log_number_from
        return list(self._unread)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add entries.

        Raises:
            OSError: They cannot be written; then none of them is.
        """
        lines = [json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in logs]
        if self._path is None:
            self._lines += lines
        else:
            _append(self._path, b"".join(lines))
        # As they would be read from the file: a tuple is a list, and nothing is shared.
        self._unread += [json.loads(line) for line in lines]

    def move_to(self, path: Path) -> None:
        """Write all entries so far to a file, in place of one that is there, and go on in it."""
        partial_path = path.with_name(f".{path.name}.partial")
        partial_path.write_bytes(b"".join(self._lines))
        partial_path.replace(path)
        self._path, self._lines = path, []


def _append(path: Path, content: bytes) -> None:
    # Without a buffer, as the history: a disk that becomes full takes a part of it.
    with path.open("ab", buffering=0) as file:
        end = file.tell()
        try:
            while content:
                content = content[file.write(content) :]
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(end)
            raise
