"""Ends a search whose Ray is gone, with one line.

Ray 2.60's C++ core would end the process itself, without our message: 15 s after the node's raylet
died, 60 s after the cluster's head died (measured); until then, the search would hang. The history
has every event, so ending at once loses nothing.
"""

import contextlib
import errno
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from model.errors import EXTERNAL_FAULT
from model.system.terminal import complain

POLL_SECONDS = 1.0
_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL)
"""Errors that say nothing of Ray: this process or machine lacks something."""
_SHOW_CURSOR = "\x1b[?25h"
LOCAL_SECONDS = 3.0
"""Silence after which a local Ray is considered gone: nobody restarts it."""
CLUSTER_SECONDS = 30.0
"""The same for a cluster's head, which KubeRay may restart; Ray gives up after 60."""


class RayWatch(AbstractContextManager["RayWatch"]):
    """A context manager: checks whether the head and this node's raylet still listen."""

    def __init__(
        self, *, command: Callable[[], str], ended: Callable[[str], None] = lambda said: None
    ) -> None:
        """Watch nothing yet.

        Args:
            command: Returns the command line that continues the run.
            ended: Called with the printed text just before the process ends; only it cleans up.
        """
        self._command, self._ending = command, ended
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, *, is_local: bool) -> None:
        """Watch the Ray that this process has joined, once.

        Args:
            is_local: Whether it was started for this search alone.
        """
        if self._thread is None:
            patience_seconds = LOCAL_SECONDS if is_local else CLUSTER_SECONDS
            arguments = (dict(_addresses()), patience_seconds)
            self._thread = threading.Thread(target=self._watch, args=arguments, daemon=True)
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self, addresses: dict[str, tuple[str, int]], patience_seconds: float) -> None:
        silent_since: dict[str, float] = {}
        while not self._ended.wait(POLL_SECONDS):
            for name, address in addresses.items():
                start = time.monotonic()  # the check itself takes up to a second
                if _listens(address):
                    silent_since.pop(name, None)
                elif time.monotonic() - silent_since.setdefault(name, start) >= patience_seconds:
                    self._end(name)

    def _end(self, name: str) -> None:
        """End the process, because the main thread may wait for Ray for ever."""
        said = f"lost {name}; to continue: {self._command()}"
        with contextlib.suppress(OSError):
            if sys.stdout.isatty():
                print(_SHOW_CURSOR, end="", flush=True)  # the live table has hidden it
            complain("tune.run", said)
        try:
            self._ending(said)
        finally:
            os._exit(EXTERNAL_FAULT)


def _addresses() -> Iterator[tuple[str, tuple[str, int]]]:
    """Yield what must listen, and where."""
    import ray

    context = ray.get_runtime_context()
    head, _, port = context.gcs_address.rpartition(":")
    yield f"Ray's head at {head}:{port}", (head, int(port))
    for node in ray.nodes():
        if node["NodeID"] == context.get_node_id():
            host, node_port = node["NodeManagerAddress"], node["NodeManagerPort"]
            yield f"Ray's process on this node, {host}:{node_port}", (host, node_port)


def _listens(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=POLL_SECONDS).close()
    except OSError as error:
        return error.errno in _OURS
    return True
