"""Folders that take another's place whole: whoever kills the process leaves one of the two.

No portable call exchanges two folders, so the old one is renamed aside first. Between the two
renames it is there alone, under a name that `standing` knows.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def in_place_of(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that takes another's place when it is full.

    Raises:
        OSError: A folder cannot be written.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
    partial.mkdir(parents=True)
    yield partial
    aside = _aside(folder)
    if folder.exists():
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
    partial.rename(folder)
    shutil.rmtree(aside, ignore_errors=True)


def standing(folder: Path) -> Path:
    """Return where a folder can be read: aside, if whoever replaced it was killed meanwhile.

    It is not put back: that process may be alive, and about to put the new one there.
    """
    aside = _aside(folder)
    return aside if aside.exists() and not folder.exists() else folder


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.replaced")
