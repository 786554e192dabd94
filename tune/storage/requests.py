"""Requests to a run's driver: small files in the folder control/ of the run or of its storage.

Only the driver writes the history, so others leave a file, which the driver reads, writes into
the history and removes. A thread looks for such files, because a storage may be slow. A mark there
says that the driver reads them: an order that nobody reads would affect a later session.
"""

import contextlib
import functools
import json
import queue
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from pyarrow import fs

from model.errors import ConfigError
from model.system.filesystem import (
    STORE_ERRORS,
    broken_rule,
    files_below,
    is_linked,
    open_location,
    read,
    write,
)
from model.system.terminal import printable
from tune.records.orders import MAX_REQUEST_BYTES, Order

CONTROL_FOLDER = "control"
OPEN_MARK = "open"
"""A file in that folder that exists while the driver reads requests, or after it was killed."""
POLL_SECONDS = 2.0
"""Poll interval of the folders, seconds."""
_SUFFIX = ".json"


def leave_request(location: str, order: Order) -> None:
    """Write a request into a run's folder or its storage, whole or not at all.

    Raises:
        ConfigError: The request cannot be written, or nobody would read it.
    """
    content = json.dumps(order.to_json(), ensure_ascii=False).encode()
    if len(content) > MAX_REQUEST_BYTES:
        raise ConfigError(f"a request must have at most {MAX_REQUEST_BYTES:,} bytes")
    try:
        file_system, root = open_location(location)
        if is_linked(file_system, root, CONTROL_FOLDER):
            raise ConfigError(f"a run must hold its files itself, got the link {CONTROL_FOLDER}")
        path = f"{root}/{CONTROL_FOLDER}/{order.id}{_SUFFIX}"
        if _is_open(file_system, root):
            write(file_system, path, content)
            if _is_open(file_system, root):  # then the driver looks again when it closes
                return
            with contextlib.suppress(FileNotFoundError):  # the driver found it, too late
                file_system.delete_file(path)
    except STORE_ERRORS as error:
        raise ConfigError(broken_rule(location, error)) from error
    raise ConfigError(
        "a search is steered while its trials run, not its finalists, predictor or report"
    )


class Requests:
    """The driver's end: a context manager that reads incoming requests.

    Requests that exist when it is created are for an earlier session. So create it before the run
    is locked: until then, nobody leaves an order.
    """

    def __init__(
        self,
        locations: Iterable[str],
        say: Callable[[str], None],
        *,
        after_copy: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        """Prepare to look.

        Args:
            locations: The run's folder, and its storage if it has one.
            say: Prints a line for the user; called by `take`.
            after_copy: Calls a function once the storage has the present history; None if the
                history is not copied.
        """
        self._folders = [open_location(location) for location in dict.fromkeys(locations)]
        self._say, self._after_copy = say, after_copy
        self._found: queue.SimpleQueue[Order | str] = queue.SimpleQueue()
        self._seen: set[str] = set()  # ids, and names of foreign files
        self._earlier: set[str] = set()
        for file_system, root in self._folders:
            with contextlib.suppress(*STORE_ERRORS):
                names = files_below(file_system, f"{root}/{CONTROL_FOLDER}", recursive=False)
                self._earlier |= {name.removesuffix(_SUFFIX) for name in names}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="requests")

    def __enter__(self) -> "Requests":
        """Accept requests: look once, then in a thread."""
        self._look()
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Accept no more requests; if the search has ended, remove those that came too late."""
        self._ending.set()
        self._thread.join()
        self.close()
        if kind is None:
            self._look()
            for order in self.take():
                self._say(f"{order} came after the end of the search and is left out")
                self._remove(order.id)

    def close(self) -> None:
        """Accept no requests: remove the mark, which a killed driver may have left.

        A local folder that is empty then is removed too.
        """
        for file_system, root in self._folders:
            try:
                if not is_linked(file_system, root, CONTROL_FOLDER):
                    file_system.delete_file(f"{root}/{CONTROL_FOLDER}/{OPEN_MARK}")
                    self._remove_empty(file_system, root)
            except FileNotFoundError:
                continue
            except STORE_ERRORS as error:
                rule = broken_rule(f"{root}/{CONTROL_FOLDER}", error)
                self._say(f"orders are taken though nobody reads them: {rule}")

    def take(self) -> list[Order]:
        """Return the orders since the last call; a damaged one is reported in one line.

        Each is returned once; `done` removes its file.
        """
        orders: list[Order] = []
        while True:
            try:
                found = self._found.get_nowait()
            except queue.Empty:
                return orders
            if isinstance(found, str):
                self._say(found)
            else:
                orders.append(found)

    def is_earlier(self, order_id: str) -> bool:
        """Return whether an order was left for an earlier session."""
        return order_id in self._earlier

    def done(self, order_id: str) -> None:
        """Have an order's file removed once the history has the order, in the storage too."""
        if self._after_copy is None:
            self._remove(order_id)
        else:
            self._after_copy(functools.partial(self._remove, order_id))

    def _run(self) -> None:
        while not self._ending.wait(POLL_SECONDS):
            self._look()

    def _look(self) -> None:
        for file_system, root in self._folders:
            with contextlib.suppress(*STORE_ERRORS):  # the next look retries
                if not is_linked(file_system, root, CONTROL_FOLDER):
                    folder = f"{root}/{CONTROL_FOLDER}"
                    names = list(files_below(file_system, folder, recursive=False))
                    for name in names:
                        self._read(file_system, folder, name)
                    if OPEN_MARK not in names and not self._ending.is_set():
                        write(file_system, f"{folder}/{OPEN_MARK}", b"")

    def _read(self, file_system: fs.FileSystem, folder: str, name: str) -> None:
        stem = name.removesuffix(_SUFFIX)
        if name == stem or stem in self._seen:
            return
        try:
            content = _content(file_system, f"{folder}/{name}")
            self._found.put(Order.from_request(content, stem))
        except OSError:  # gone, or no answer: the next look retries
            return
        except ValueError as error:
            text = f"the request {CONTROL_FOLDER}/{name} is left out: {error}"
            self._found.put(printable(" ".join(text.split())[:300]))
            self._remove(stem)
        self._seen.add(stem)

    def _remove(self, stem: str) -> None:
        for file_system, root in self._folders:
            with contextlib.suppress(*STORE_ERRORS):  # gone, or not in this folder
                file_system.delete_file(f"{root}/{CONTROL_FOLDER}/{stem}{_SUFFIX}")
                self._remove_empty(file_system, root)

    def _remove_empty(self, file_system: fs.FileSystem, root: str) -> None:
        if isinstance(file_system, fs.LocalFileSystem):
            with contextlib.suppress(OSError):  # not empty
                Path(root, CONTROL_FOLDER).rmdir()


def _is_open(file_system: fs.FileSystem, root: str) -> bool:
    mark = file_system.get_file_info(f"{root}/{CONTROL_FOLDER}/{OPEN_MARK}")
    return bool(mark.type == fs.FileType.File)


def _content(file_system: fs.FileSystem, path: str) -> bytes:
    size = file_system.get_file_info(path).size
    if size is None:
        raise FileNotFoundError(path)
    if size > MAX_REQUEST_BYTES:
        raise ValueError(f"a request must have at most {MAX_REQUEST_BYTES:,} bytes")
    return read(file_system, path)
