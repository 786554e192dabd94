"""Finds a search space: a built-in one by name, or a user's Python file."""

import contextlib
import dataclasses
import importlib
import re
import runpy
import sys
from pathlib import Path
from typing import Any

from model.config import TrialConfig
from model.errors import ConfigError, unknown_choice
from model.system.files import expanded
from model.system.json_schema import parsed
from search_spaces.baseline import Baseline
from search_spaces.budget import Budget
from search_spaces.cells import own_cells_of
from search_spaces.space import SearchSpace

SPACE_NAMES = ("documented", "extended", "full", "quick", "research")

_CLASSES: dict[str, Any] = {
    kind.__name__: kind for kind in (TrialConfig, SearchSpace, Budget, Baseline)
}
"""The classes of which a space file consists."""


def load_space(name_or_path: str) -> SearchSpace:
    """Load a space.

    Args:
        name_or_path: One of SPACE_NAMES, or a path that ends in .py; that file may import modules
            next to it. Or a path that ends in .json, with what `SearchSpace.to_json` returned.

    Raises:
        ConfigError: There is no such space, or the file cannot be imported or has no valid SPACE.
    """
    if name_or_path in SPACE_NAMES:
        space = importlib.import_module(f"search_spaces.{name_or_path}").SPACE
        assert isinstance(space, SearchSpace)
        return space
    if name_or_path.endswith(".py"):
        return _load_file(expanded(name_or_path))
    if name_or_path.endswith(".json"):
        return _load_values(expanded(name_or_path))
    raise ConfigError(
        unknown_choice("search space", name_or_path, SPACE_NAMES) + ", or a .py or .json file"
    )


def _load_values(path: Path) -> SearchSpace:
    try:
        text = path.read_text(encoding="utf-8")
        return SearchSpace.from_dict(parsed(text, dict[str, Any], "it"))
    except ConfigError:
        raise
    except Exception as error:  # malformed values can raise anything
        raise ConfigError(
            f"a space file must hold a space's values: {path}: {_one_line(error)}"
        ) from error


def _load_file(path: Path) -> SearchSpace:
    if not path.is_file():
        raise ConfigError(f"a space file must exist, got {path}")
    beside = str(path.resolve().parent)  # where Python looks for a script's imports
    sys.path.insert(0, beside)
    try:
        names = runpy.run_path(str(path))
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise ConfigError(f"a space file must be importable: {path}: {_mistake(error)}") from error
    finally:
        with contextlib.suppress(ValueError):  # the file itself may have removed it
            sys.path.remove(beside)
    space = names.get("SPACE")
    if not isinstance(space, SearchSpace):
        found = "nothing" if space is None else type(space).__name__
        raise ConfigError(f"a space file must define SPACE as a SearchSpace: {path} has {found}")
    own = own_cells_of(space)
    if own:
        from model.training.named_cells import execute_cells_beside  # imports torch, 2 s

        execute_cells_beside(own, path.parent)
    return space


def _mistake(error: BaseException) -> str:
    """Return an error in one line; for an unknown field, one that suggests the closest name."""
    found = re.search(
        r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", str(error)
    )
    if not found or found[1] not in _CLASSES:
        return _one_line(error)
    fields = [field.name for field in dataclasses.fields(_CLASSES[found[1]])]
    return unknown_choice(f"{found[1]} field", found[2], fields)


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
