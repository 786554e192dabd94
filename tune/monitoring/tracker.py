"""Trackers: classes that receive events of a search's trials; users can write their own.

`--tracker package.module:Class` or `--tracker file.py:Class` names one; docs/hooks.md shows it.
"""

import dataclasses
import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from model.errors import ConfigError, first_line
from model.system.files import resolved
from search_spaces import SearchSpace
from tune.records.trial import TrialRecord


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrackedSearch:
    """What a tracker is created with.

    Attributes:
        name: The run's name.
        folder: The run folder, absolute.
        space: The search space.
        search_id: 12 hexadecimal digits that tell it from others of the same name.
    """

    name: str
    folder: Path
    space: SearchSpace
    search_id: str


class Tracker:
    """A receiver of trials' events. A class that does not inherit from it needs all four methods.

    It is created with a TrackedSearch and called in order by its own thread, which may wait for a
    server. Trials are copies that no longer change. After an interruption, a search has a new
    tracker, for which a resumed trial starts again, with the reports that it has.
    """

    def trial_started(self, trial: TrialRecord) -> None:
        """A trial started or continues."""

    def epoch_ended(self, trial: TrialRecord) -> None:
        """A trial reported `trial.epochs[-1]`. A report may be repeated; the later one counts."""

    def trial_ended(self, trial: TrialRecord) -> None:
        """A trial ended; its status says how."""

    def close(self) -> None:
        """The search is over; some trials may not have ended."""


MakesTracker = Callable[[TrackedSearch], Tracker]
EVENTS = ("trial_started", "epoch_ended", "trial_ended", "close")


def load_tracker(named: str) -> MakesTracker:
    """Return the class that `--tracker` names. Its module is executed: only users may name it.

    Args:
        named: package.module:Class, or file.py:Class; the file may import files beside it.

    Raises:
        ConfigError: It does not exist, cannot be imported, or lacks a method.
    """
    where, _, name = named.rpartition(":")
    if not where or not name:
        raise ConfigError(
            f"a tracker must be package.module:Class or file.py:Class, got {named!r}"
        )
    try:
        module = (
            _load_file(Path(where)) if where.endswith(".py") else importlib.import_module(where)
        )
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:  # user code may raise anything
        raise ConfigError(
            f"a tracker's module must be importable: {where}: {type(error).__name__}: "
            f"{first_line(error)}"
        ) from error
    found = getattr(module, name, None)
    if not isinstance(found, type):
        raise ConfigError(f"a tracker must be a class of its module: {where} has no class {name}")
    lacking = [event for event in EVENTS if not callable(getattr(found, event, None))]
    if lacking:
        raise ConfigError(
            f"a tracker must have the methods {', '.join(EVENTS)}: {named} lacks "
            f"{', '.join(lacking)}"
        )
    return found


def _load_file(path: Path) -> ModuleType:
    path = resolved(path)
    if not path.is_file():
        raise ConfigError(f"a tracker's file must exist, got {path}")
    sys.path.append(str(path.parent))  # its methods may import files beside it, too
    spec = importlib.util.spec_from_file_location(f"tracker_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look up their fields' types there
    spec.loader.exec_module(module)
    return module
