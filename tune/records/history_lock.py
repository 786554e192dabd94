"""A run's lock, on its open history: it refuses a second driver, and a dead one holds none."""

import fcntl
import time
from pathlib import Path
from typing import BinaryIO

from model.errors import ConfigError
from model.system.files import lock_file

LOCK_TRIES, LOCK_REST_SECONDS = 4, 0.05


def has_driver(path: Path) -> bool:
    """Return whether a process has a history open for writing.

    This includes other machines if the file system shares locks between machines, as NFS does. The
    lock used for the test is held only for an instant.
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
    """Refuse a run that is being written; its own lock is taken later, after Ray's start.

    Raises:
        ConfigError: Another process has its history open.
    """
    if has_driver(path):
        raise two_drivers(path)


def two_drivers(path: Path) -> ConfigError:
    """Return the refusal of a second driver."""
    return ConfigError(f"a run must have one driver, but another process writes to {path.parent}")


def lock(file: BinaryIO) -> bool:
    """Lock a file for this process; whoever only asks for its driver has it for an instant.

    Returns:
        Whether it is locked: False on a file system without locks.

    Raises:
        BlockingIOError: Another process holds it.
    """
    for _ in range(LOCK_TRIES - 1):
        try:
            return lock_file(file)
        except BlockingIOError:
            time.sleep(LOCK_REST_SECONDS)
    return lock_file(file)
