"""Copies a run's folder into its storage while the search runs, so that the run outlives it.

In the storage a run looks as in its folder: study.json, history.jsonl, tables, checkpoints/,
beside the sessions' folders, where Ray keeps the trials' checkpoints. `--resume s3://…/NAME`
fetches it back (fetch.py). What was copied last is at most about COPY_SECONDS old, or as old
as copying it took by COPY_SHARE.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pyarrow import fs

from model.errors import ConfigError, ExternalFault, first_line
from model.system.files import read_regular
from model.system.filesystem import broken_rule, open_location, write
from tune.records.run_folder import CORPUS_FILE, NETWORK_FOLDERS
from tune.storage.copies import RunExtent, files_of_run
from tune.storage.lease import RENEW_SECONDS, Lease, end_this_driver

_WRITTEN_LAST = ("trials.csv", "trials.parquet", "study.json")
"""In this order; they are read first, the last before the others: a trial with a score has its
epochs then, and where it is said that the run has finished, all is there."""
COPY_SECONDS = RENEW_SECONDS
FIRST_SECONDS = 1.0
COPY_SHARE = 0.05
"""Copying takes at most about this share of one thread's time."""


class Mirror(contextlib.AbstractContextManager["Mirror"]):
    """A context manager: leases a run in its storage and copies its folder there.

    Attributes:
        root: The run's location in the storage.
    """

    def __init__(self, folder: Path, root: str, *, text: str, say: Callable[[str], None]) -> None:
        """Prepare to copy a run.

        Args:
            folder: The run's folder; a copy that has come further is not overwritten.
            root: Its location in the storage.
            text: The corpus.
            say: Prints a line for the user.

        Raises:
            ConfigError: The location is none.
        """
        self.root = root
        self._folder, self._text, self._say = folder, text, say
        self._file_system, self._path = open_location(root)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="mirror")
        # Relative path to what the file looked like when it was copied; None: not known.
        self._copied: dict[str, tuple[int, int] | None] = {}
        self._error: OSError | None = None
        self._after_copy: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def __enter__(self) -> "Mirror":
        """Take the lease, and copy what there is.

        Raises:
            ConfigError: Another driver has the run, it is further there, or cannot be written.
        """
        self._lease = Lease(
            self.root,
            may_write=lambda: not self._is_further_there(),
            lost=lambda: end_this_driver(self.root, self._say),
        )
        try:
            self._lease.take(self._say)
            self._lease.keep()
            try:
                if self._is_further_there():
                    raise ConfigError(
                        f"the run in the storage is further along than {self._folder}; "
                        f"use --resume {self.root}"
                    )
                self._copied = dict.fromkeys(files_of_run(self._file_system, self._path))
                write(self._file_system, f"{self._path}/{CORPUS_FILE}", self._text.encode())
                self._copy()
            except BaseException:
                self._lease.stop()
                self._lease.release()
                raise
        except OSError as error:
            reason = first_line(error)
            raise ConfigError(f"a storage must be writable: {self.root}: {reason}") from error
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Copy what is new a last time and give the lease back.

        Raises:
            ExternalFault: Not all is in the storage, and nothing else ends the search.
        """
        self._ending.set()
        self._thread.join()
        self._copy_or_remember()
        self._lease.stop()
        if self._error is None and not self._lease.is_lost:
            try:
                self._lease.release()
            except OSError as failure:
                self._error = failure
        if self._error is not None:
            reason = first_line(self._error)
            text = f"not all of {self._folder} is in the storage: {self.root}: {reason}"
            if kind is None:
                raise ExternalFault(text)
            self._say(text)

    def is_behind(self) -> bool:
        """Return whether the storage lacks something of the run: its last copy failed, perhaps.

        Raises:
            ConfigError: The storage cannot be read.
        """
        try:
            here, there = self._extents()
        except OSError as error:
            raise ConfigError(broken_rule(self.root, error)) from error
        return not there.has_all_of(here)

    def after_copy(self, action: Callable[[], None]) -> None:
        """Have a function called, in the copying thread, once all files are copied as they are."""
        self._after_copy.put(action)

    def may_delete(self) -> bool:
        """Return whether the run is still this driver's alone, so that it may clean up."""
        try:
            return not self._lease.is_lost and self._lease.is_ours()
        except OSError:  # not known
            return False

    def _is_further_there(self) -> bool:
        """Return whether the run in the storage has what ours has not."""
        here, there = self._extents()
        return not here.has_all_of(there)

    def _extents(self) -> tuple[RunExtent, RunExtent]:
        """Return how far the run has come here, and in the storage."""
        # There first: what is copied meanwhile must not look like another driver's.
        there = RunExtent.of(self._file_system, self._path)
        return RunExtent.of(fs.LocalFileSystem(), str(self._folder)), there

    def _run(self) -> None:
        rest_seconds = FIRST_SECONDS
        while not (self._ending.wait(rest_seconds) or self._lease.is_lost):
            start = time.monotonic()
            self._copy_or_remember()
            rest_seconds = max(COPY_SECONDS, (time.monotonic() - start) / COPY_SHARE)

    def _copy_or_remember(self) -> None:
        """Copy; where the storage does not answer, the search goes on and it is tried again."""
        try:
            self._error = None
            self._copy()
        except OSError as error:
            self._error = error

    def _copy(self) -> None:
        """Copy what has changed and delete what is gone, while the run is ours."""
        num_waiting = self._after_copy.qsize()  # what comes later waits for the next copy
        held: dict[str, tuple[tuple[int, int], bytes]] = {}
        for name in reversed(_WRITTEN_LAST):
            path = self._folder / name
            if name == "study.json" or path.exists():
                held[name] = _look(path), read_regular(path)
        here = self._files() | {name: look for name, (look, _) in held.items()}
        changed = [name for name, look in here.items() if self._copied.get(name) != look]
        changed.sort(key=lambda name: _WRITTEN_LAST.index(name) if name in held else -1)
        gone = [name for name in self._copied if name not in here]
        if not self._lease.renew():
            return
        for name in changed:
            if self._lease.is_lost:
                return
            try:
                data = held[name][1] if name in held else read_regular(self._folder / name)
            except FileNotFoundError:  # ranked again meanwhile
                continue
            write(self._file_system, f"{self._path}/{name}", data)
            self._copied[name] = here[name]
        for name in gone:
            if self._lease.is_lost:
                return
            if name.partition("/")[0] in NETWORK_FOLDERS:
                with contextlib.suppress(FileNotFoundError):
                    self._file_system.delete_file(f"{self._path}/{name}")
            del self._copied[name]
        for _ in range(num_waiting):
            self._after_copy.get()()

    def _files(self) -> dict[str, tuple[int, int]]:
        """Return the files that are copied, and what each looks like.

        They are those of ours. TensorBoard's are none: one or more a trial, and all that they have
        is in the history too.
        """
        found = {}
        for name in files_of_run(fs.LocalFileSystem(), str(self._folder)):
            with contextlib.suppress(FileNotFoundError):  # replaced meanwhile
                found[name] = _look(self._folder / name)
        return found


def _look(path: Path) -> tuple[int, int]:
    """Return what changes with a file."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size
