"""JSON files of a run: written completely or not at all, and checked when they are read."""

import dataclasses
import json
from pathlib import Path
from typing import Any, TypeVar

from model.errors import ConfigError
from model.system.files import write_text
from model.system.json_schema import parsed

_Kind = TypeVar("_Kind")


def write_json(values: Any, path: Path) -> None:
    """Write values, or a dataclass's fields, completely or not at all.

    Raises:
        OSError: The file cannot be written.
    """
    text = json.dumps(values, default=dataclasses.asdict, indent=2, ensure_ascii=False)
    write_text(path, text + "\n")


def read_json(path: Path, kind: type[_Kind], what: str) -> _Kind | None:
    """Return a file's content; None if there is no file.

    Args:
        path: The file.
        kind: The type of its value; see `checked`.
        what: What it is, for the message.

    Raises:
        ConfigError: It is damaged.
    """
    if not path.exists():
        return None
    try:
        found: _Kind = parsed(path.read_text(encoding="utf-8"), kind, path.name)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{what} must be readable: {path}: {error}") from error
    return found
