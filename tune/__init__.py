"""Distributed hyperparameter search for the char-LSTM: Ray Tune, Optuna, ASHA.

A file here is a command, a folder is a room. What users import is here too, and is imported when
it is asked for: a command's --help need not wait for pandas.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tune.records.load import load_run

__all__ = ["load_run"]


def __getattr__(name: str) -> Any:
    """Return what users import from here."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tune.records.load import load_run

    return load_run
