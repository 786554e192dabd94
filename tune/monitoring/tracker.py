"""What a tracker is: a class that is told of a search's trials, such as one of the user's own.

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
    """What a tracker is made with.

    Attributes:
        name: The run's name.
        folder: The run folder, absolute.
        space: What is searched.
        search_id: 12 hexadecimal digits that tell it from others of its name.
    """

    name: str
    folder: Path
    space: SearchSpace
    search_id: str


class Tracker:
    """A receiver of trials' events. One that does not inherit from it has all four methods.

    It is made with a TrackedSearch and called in order by one thread of its own, which may wait
    for a server. A trial is a copy that does not change any more. After an interruption a search
    has a new tracker, and a trial that goes on starts again, with the epochs that it has.
    """

    def trial_started(self, trial: TrialRecord) -> None:
        """A trial began, or goes on."""

    def epoch_ended(self, trial: TrialRecord) -> None:
        """A trial reported: `trial.epochs[-1]`. A report may come again; the later one counts."""

    def trial_ended(self, trial: TrialRecord) -> None:
        """A trial ended; its status says how."""

    def close(self) -> None:
        """The search is over; some trials may not have ended."""


MakesTracker = Callable[[TrackedSearch], Tracker]
EVENTS = ("trial_started", "epoch_ended", "trial_ended", "close")


def load_tracker(named: str) -> MakesTracker:
    """Return the class that `--tracker` names. Its module is executed: the user's word alone.

    Args:
        named: package.module:Class, or file.py:Class; that file may import what lies beside it.

    Raises:
        ConfigError: There is none, it does not import, or it lacks a method.
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
    except (Exception, SystemExit) as error:  # it is the user's code: anything may happen in it
        raise ConfigError(
            f"a tracker's module must import: {where}: {type(error).__name__}: {first_line(error)}"
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
    sys.path.append(str(path.parent))  # its methods may import what lies beside it, too
    spec = importlib.util.spec_from_file_location(f"tracker_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there for the types of their fields
    spec.loader.exec_module(module)
    return module
