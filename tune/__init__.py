"""Distributed hyperparameter search for the char-LSTM: Ray Tune, Optuna, ASHA.

A file here is a command, a folder is a room. What users import is here too, and is imported when
it is asked for: a command's --help need not wait for pandas.
"""

import importlib.util
import os
import sys
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tune.job.from_python import Run, load_run, search

__all__ = ["Run", "load_run", "search"]

_OF_OURS = {"model": "system/command_line.py", "search_spaces": "space.py"}
"""A file that each of the other packages has. They need not lie beside this one: Ray unpacks each
into a folder of its own."""


def _check_not_shadowed() -> None:
    """Refuse another package or file by the name of one of ours: `python -m` finds it first.

    Raises:
        ImportError: Where `tune` is imported.
        SystemExit: Where it is a command's, with one line and code 2.
    """
    for name, file in _OF_OURS.items():
        spec = importlib.util.find_spec(name)
        folders = spec.submodule_search_locations if spec else None
        is_ours = any(os.path.exists(f"{folder}/{file}") for folder in folders or ())  # noqa: PTH110
        if spec is None or spec.origin is None or is_ours:
            continue
        rule = (
            f"{spec.origin!r} stands before the package {name!r} of char-lstm-tune: use another "
            "folder, or the command char-lstm-tune"
        )
        if sys.argv[:1] == ["-m"]:  # as Python has it while it looks for the module of -m
            print(f"tune: {rule}", file=sys.stderr)
            sys.exit(2)
        raise ImportError(rule)


_check_not_shadowed()


def __getattr__(name: str) -> Any:
    """Return what users import from here."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with warnings.catch_warnings():
        # Optuna 5.0 imports tqdm, which asks for a package of notebooks that nothing here needs.
        warnings.filterwarnings("ignore", message="IProgress not found")
        from tune.job import from_python

    return getattr(from_python, name)
