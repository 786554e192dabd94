"""Where a new run may go: its name, and the folder that it is made in."""

import os
import time
from pathlib import Path

from model.errors import ConfigError


def default_name(space_name: str) -> str:
    """Return the name of a run whose user names none: space and local time."""
    return f"{space_name}-{time.strftime('%Y%m%d-%H%M%S')}"


def check_new(path: Path) -> None:
    """Refuse a run folder that exists, or that cannot be made.

    Raises:
        ConfigError: The rule that it breaks.
    """
    if path.exists():
        raise ConfigError(f"a run folder must not exist yet: {path}; choose another --name")
    parent = existing_parent(path)
    if not parent.is_dir():
        raise ConfigError(f"the results folder must be a folder, got the file {parent}")
    if not os.access(parent, os.W_OK):
        raise ConfigError(f"the results folder must be writable, got {parent}")


def existing_parent(path: Path) -> Path:
    """Return the nearest folder above a path that is there."""
    parent = path.absolute().parent
    while not parent.exists():
        parent = parent.parent
    return parent
