"""Copies a run's folder into its storage while the search runs, so that the run outlives it.

In the storage, a run looks as in its folder (study.json, history.jsonl, tables, checkpoints/),
next to the sessions' folders with the trials' checkpoints from Ray. `--resume s3://…/NAME`
fetches it (fetch.py). The copy is at most about COPY_SECONDS old, or the time of a copy divided
by COPY_SHARE.
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
from model.system.filesystem import STORE_ERRORS, broken_rule, open_location, write
from model.text.packed import Text
from tune.records.run_folder import CORPUS_FILE, NETWORK_FOLDERS
from tune.storage.copies import RunExtent, files_of_run
from tune.storage.lease import RENEW_SECONDS, Lease, end_this_driver

_WRITTEN_LAST = ("trials.csv", "trials.parquet", "study.json")
"""Written last, in this order, and read first, in reverse order: so a trial with a score has its
epochs, and if study.json says that the run has finished, all is there."""
COPY_SECONDS = RENEW_SECONDS
FIRST_SECONDS = 1.0
COPY_SHARE = 0.05
"""Copying takes at most about this share of one thread's time."""


class Mirror(contextlib.AbstractContextManager["Mirror"]):
    """A context manager: leases a run in its storage and copies its folder there.

    Attributes:
        root: The run's location in the storage.
    """

    def __init__(self, folder: Path, root: str, *, text: Text, say: Callable[[str], None]) -> None:
        """Prepare to copy a run.

        Args:
            folder: The run's folder; a more advanced copy is not overwritten.
            root: The run's location in the storage.
            text: The corpus.
            say: Prints a line for the user.

        Raises:
            ConfigError: The location is invalid.
        """
        self.root = root
        self._folder, self._text, self._say = folder, text, say
        self._file_system, self._path = open_location(root)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="mirror")
        # Relative path to the file's time and size when it was copied; None if unknown.
        self._copied: dict[str, tuple[int, int] | None] = {}
        self._error: Exception | None = None
        self._after_copy: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def __enter__(self) -> "Mirror":
        """Take the lease and copy the run.

        Raises:
            ConfigError: Another driver has the run, or the copy is more advanced or unwritable.
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
                with contextlib.suppress(*STORE_ERRORS):  # the first error is the one to report
                    self._lease.release()
                raise
        except ConfigError:
            raise
        except STORE_ERRORS as error:
            reason = first_line(error)
            raise ConfigError(f"a storage must be writable: {self.root}: {reason}") from error
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Copy changes a last time and release the lease.

        Raises:
            ExternalFault: The copy is incomplete, and nothing else ends the search.
        """
        self._ending.set()
        self._thread.join()
        self._copy_or_remember()
        self._lease.stop()
        if self._error is None and not self._lease.is_lost:
            try:
                self._lease.release()
            except STORE_ERRORS as failure:
                self._error = failure
        if self._error is not None:
            reason = first_line(self._error)
            text = f"not all of {self._folder} is in the storage: {self.root}: {reason}"
            if kind is None:
                raise ExternalFault(text)
            self._say(text)

    def is_behind(self) -> bool:
        """Return whether the storage lacks part of the run, perhaps after a failed copy.

        Raises:
            ConfigError: The storage cannot be read.
        """
        try:
            here, there = self._extents()
        except STORE_ERRORS as error:
            raise ConfigError(broken_rule(self.root, error)) from error
        return not there.has_all_of(here)

    def after_copy(self, action: Callable[[], None]) -> None:
        """Call a function in the copying thread once all files, as they are now, are copied."""
        self._after_copy.put(action)

    def may_delete(self) -> bool:
        """Return whether this driver still has the run, so that it may clean up."""
        try:
            return not self._lease.is_lost and self._lease.is_ours()
        except STORE_ERRORS:  # unknown
            return False

    def _is_further_there(self) -> bool:
        """Return whether the run in the storage has something that ours lacks."""
        here, there = self._extents()
        return not here.has_all_of(there)

    def _extents(self) -> tuple[RunExtent, RunExtent]:
        """Return how far the run has advanced here, and in the storage."""
        # Storage first, so that what is copied meanwhile does not look like another driver's work.
        there = RunExtent.of(self._file_system, self._path)
        return RunExtent.of(fs.LocalFileSystem(), str(self._folder)), there

    def _run(self) -> None:
        rest_seconds = FIRST_SECONDS
        while not (self._ending.wait(rest_seconds) or self._lease.is_lost):
            start, was_silent = time.monotonic(), self._error is not None
            self._copy_or_remember()
            self._tell_change(was_silent)
            rest_seconds = max(COPY_SECONDS, (time.monotonic() - start) / COPY_SHARE)

    def _copy_or_remember(self) -> None:
        """Copy; if the storage does not answer, the search continues and copies later."""
        try:
            self._error = None
            self._copy()
        except STORE_ERRORS as error:
            self._error = error

    def _tell_change(self, was_silent: bool) -> None:
        """Tell when the storage begins to take no files, and when it takes them again."""
        if self._error is not None and not was_silent:
            reason = first_line(self._error)
            self._say(f"the storage takes no files, and is tried again: {self.root}: {reason}")
        if self._error is None and was_silent and not self._lease.is_lost:
            self._say(f"the storage takes files again: {self.root}")

    def _copy(self) -> None:
        """Copy changed files and delete removed ones, while the run is ours."""
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
            except FileNotFoundError:  # ranks changed meanwhile
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
        """Return the files to copy, with the time and size of each.

        These are our own files. TensorBoard's are left out: there is at least one per trial, and
        the history has all their content.
        """
        found = {}
        for name in files_of_run(fs.LocalFileSystem(), str(self._folder)):
            with contextlib.suppress(FileNotFoundError):  # replaced meanwhile
                found[name] = _look(self._folder / name)
        return found


def _look(path: Path) -> tuple[int, int]:
    """Return a file's time and size, which change with its content."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size
