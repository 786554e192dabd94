"""The cell of docs/cells.md as a user's file, and ways to break it."""

from pathlib import Path

import documents
from repository import ROOT

PAGE = ROOT / "docs" / "cells.md"
NAME = "my_cells.py:MyGRU"


def code() -> str:
    """Return the page's code."""
    (found,) = documents.blocks(PAGE, "python")
    return found


def write(folder: Path | None = None, *, change: tuple[str, str] = ("", "")) -> str:
    """Write the file, by default into the working folder; return its name for `--cell`."""
    old, new = change
    assert old in code()
    path = (folder or Path.cwd()) / "my_cells.py"
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(code().replace(old, new) if old else code(), encoding="utf-8")
    return f"{path}:MyGRU"
