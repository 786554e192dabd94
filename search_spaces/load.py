"""Finds a search space: one of ours by name, or a user's Python file."""

import importlib
import runpy
from pathlib import Path

from model.errors import ConfigError, unknown_choice
from search_spaces.space import SearchSpace

SPACE_NAMES = ("documented", "extended", "full", "quick")


def load_space(name_or_path: str) -> SearchSpace:
    """Load a space.

    Args:
        name_or_path: One of SPACE_NAMES, or a path that ends in .py.

    Raises:
        ConfigError: No such space; or the file does not import or has no valid SPACE.
    """
    if name_or_path in SPACE_NAMES:
        space = importlib.import_module(f"search_spaces.{name_or_path}").SPACE
        assert isinstance(space, SearchSpace)
        return space
    if name_or_path.endswith(".py"):
        return _load_file(Path(name_or_path).expanduser())
    raise ConfigError(
        unknown_choice("search space", name_or_path, SPACE_NAMES) + ", or a .py file"
    )


def _load_file(path: Path) -> SearchSpace:
    if not path.is_file():
        raise ConfigError(f"a space file must exist, got {path}")
    try:
        names = runpy.run_path(str(path))
    except (Exception, SystemExit) as error:  # it is the user's code: anything may happen in it
        raise ConfigError(
            f"a space file must import: {path}: {type(error).__name__}: {_one_line(error)}"
        ) from error
    space = names.get("SPACE")
    if not isinstance(space, SearchSpace):
        found = "nothing" if space is None else type(space).__name__
        raise ConfigError(f"a space file must define SPACE as a SearchSpace: {path} has {found}")
    return space


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
