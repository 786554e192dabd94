"""What is known of a run: trials, history, tables, folder, study.json, and `load_run`.

May import: no other room. Must not know: Ray, Optuna, how a search decides.

`from tune.records import load_run` is how a notebook begins; it is imported when it is asked for,
so that a command's --help need not wait for pandas.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tune.records.load import LoadedRun, load_run

__all__ = ["LoadedRun", "load_run"]


def __getattr__(name: str) -> Any:
    """Return what users import from here."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tune.records import load

    return getattr(load, name)
