"""Files and folders that take another's place whole: a kill leaves the old one or the new one.

No portable call exchanges two folders, so the old one is renamed aside first. Between the two
renames it is there alone, under a name that `standing` knows.
"""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def in_place_of(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that takes another's place when it is full.

    Raises:
        OSError: A folder cannot be written.
    """
    partial = _beside(folder, "partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
    partial.mkdir(parents=True)
    yield partial
    aside = _beside(folder, "replaced")
    if folder.exists():
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
    partial.rename(folder)
    shutil.rmtree(aside, ignore_errors=True)


def check_place(folder: Path) -> None:
    """Make the parents of a folder, and see that there is place for it and what is beside it.

    Raises:
        OSError: A folder cannot be written.
    """
    probe = _beside(folder, "possible")  # as long as the longest of the names
    probe.mkdir(parents=True, exist_ok=True)
    probe.rmdir()


def standing(folder: Path) -> Path:
    """Return where a folder can be read: aside, if whoever replaced it was killed meanwhile.

    It is not put back: that process may be alive, and about to put the new one there.
    """
    aside = _beside(folder, "replaced")
    # os.path: pathlib raises where a name is too long, until Python 3.14.
    is_aside = os.path.exists(aside) and not os.path.exists(folder)  # noqa: PTH110
    return aside if is_aside else folder


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: a reader never sees half of it.

    Raises:
        OSError: It cannot be written; then what was there is there still.
    """
    # A name of its own: what a driver writes, `tune.report` or another machine may write too.
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)  # on a full disk it takes what others need
        raise


def _beside(folder: Path, suffix: str) -> Path:
    whole = folder.absolute()  # "." has no name, and "/" has none at all
    return whole.parent / f".{whole.name}.{suffix}"
