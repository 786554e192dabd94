"""Requests to the driver of a run: small files in the folder control/ of the run or its storage.

The history is the driver's alone, so others leave a file, which the driver reads, writes into
the history and removes. A thread looks for them, for a storage may answer slowly.
"""

import contextlib
import json
import queue
import threading
from collections.abc import Callable, Iterable

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
POLL_SECONDS = 2.0
"""Poll interval of the folders, seconds."""
_SUFFIX = ".json"


def leave_request(location: str, order: Order) -> None:
    """Write a request into a run's folder or its storage, whole or not at all.

    Raises:
        ConfigError: It cannot be written.
    """
    content = json.dumps(order.to_json(), ensure_ascii=False).encode()
    if len(content) > MAX_REQUEST_BYTES:
        raise ConfigError(f"a request must have at most {MAX_REQUEST_BYTES:,} bytes")
    try:
        file_system, root = open_location(location)
        if is_linked(file_system, root, CONTROL_FOLDER):
            raise ConfigError(f"a run must hold its files itself, got the link {CONTROL_FOLDER}")
        write(file_system, f"{root}/{CONTROL_FOLDER}/{order.id}{_SUFFIX}", content)
    except STORE_ERRORS as error:
        raise ConfigError(broken_rule(location, error)) from error


class Requests:
    """The driver's end: a context manager that reads what comes.

    What lies there when it is made is for an earlier session: make it before the run is locked,
    without which nobody leaves an order.
    """

    def __init__(self, locations: Iterable[str], say: Callable[[str], None]) -> None:
        """Prepare to look.

        Args:
            locations: The run's folder, and its storage if it has one.
            say: Prints a line for the user; called by `take`.
        """
        self._folders = [open_location(location) for location in dict.fromkeys(locations)]
        self._say = say
        self._found: queue.SimpleQueue[Order | str] = queue.SimpleQueue()
        self._seen: set[str] = set()  # ids, and names of files that are none of ours
        self._done: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._earlier: set[str] = set()
        for file_system, root in self._folders:
            with contextlib.suppress(*STORE_ERRORS):
                names = files_below(file_system, f"{root}/{CONTROL_FOLDER}", recursive=False)
                self._earlier |= {name.removesuffix(_SUFFIX) for name in names}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="requests")

    def __enter__(self) -> "Requests":
        """Look a first time, and go on in a thread."""
        self._look()
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Remove what was taken, and of a search that has ended what came too late."""
        self._ending.set()
        self._thread.join()
        if kind is None:
            self._look()
            for order in self.take():
                self._say(f"{order} came after the end of the search and is left out")
                self.done(order.id)
        self._remove_done()

    def take(self) -> list[Order]:
        """Return the orders that have come since the last time; of a damaged one a line is told.

        Each is returned once; `done` has its file removed.
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
        """Have the file of an order removed: the history has it."""
        self._done.put(order_id)

    def _run(self) -> None:
        while not self._ending.wait(POLL_SECONDS):
            self._remove_done()
            self._look()

    def _look(self) -> None:
        for file_system, root in self._folders:
            with contextlib.suppress(*STORE_ERRORS):  # it is tried again
                if not is_linked(file_system, root, CONTROL_FOLDER):
                    folder = f"{root}/{CONTROL_FOLDER}"
                    for name in sorted(files_below(file_system, folder, recursive=False)):
                        self._read(file_system, folder, name)

    def _read(self, file_system: fs.FileSystem, folder: str, name: str) -> None:
        stem = name.removesuffix(_SUFFIX)
        if name == stem or stem in self._seen:
            return
        try:
            content = _content(file_system, f"{folder}/{name}")
            self._found.put(Order.from_request(content, stem))
        except OSError:  # gone, or no answer: it is tried again
            return
        except ValueError as error:
            text = f"the request {CONTROL_FOLDER}/{name} is left out: {error}"
            self._found.put(printable(" ".join(text.split())[:300]))
            self._done.put(stem)
        self._seen.add(stem)

    def _remove_done(self) -> None:
        while not self._done.empty():
            name = self._done.get()
            for file_system, root in self._folders:
                with contextlib.suppress(*STORE_ERRORS):  # gone, or not in this one
                    file_system.delete_file(f"{root}/{CONTROL_FOLDER}/{name}{_SUFFIX}")


def _content(file_system: fs.FileSystem, path: str) -> bytes:
    if file_system.get_file_info(path).size > MAX_REQUEST_BYTES:
        raise ValueError(f"a request must have at most {MAX_REQUEST_BYTES:,} bytes")
    return read(file_system, path)
