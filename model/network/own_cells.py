"""Users' own cells: classes in a file that the user has named, registered in this process.

What a run folder, a checkpoint or a storage names is never executed. A class is registered only by
`execute_cell` (cell_check.py), given the contents of a file that the user named, or on a worker by
`execute_and_register`, given the driver's cells. docs/cells.md describes the protocol.

Shapes: B columns, I inputs.
"""

import dataclasses
import functools
import hashlib
import sys
from collections.abc import Iterable
from types import ModuleType

import torch
from torch import Tensor, nn

from model.config import is_own_cell
from model.errors import ConfigError, first_line
from model.network.base import State, SteppedLayer


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class OwnCell:
    """A class that has passed the trial.

    Attributes:
        name: The last part of the file's path, and the class: my_cells.py:MyCell.
        named: The name as the user gave it.
        source: The contents of the file.
        kept_bytes: Bytes kept for the backward pass per unit, time step and column.
        step_ratio: Time of a small step, divided by that of a Mogrifier's without rounds.
    """

    name: str
    named: str
    source: bytes
    kept_bytes: float
    step_ratio: float

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the file."""
        return hashlib.sha256(self.source).hexdigest()

    @functools.cache  # noqa: B019  # a process keeps its cells anyway
    def sizes(self, input_size: int, hidden_size: int) -> tuple[int, int]:
        """Return how many of a layer's parameters are in matrices, and how many are not."""
        kind = class_of(self.name, self.source)
        with torch.device("meta"):
            parameters = list(kind(input_size, hidden_size).parameters())
        matrices = sum(p.numel() for p in parameters if p.dim() > 1)
        return matrices, sum(p.numel() for p in parameters) - matrices


class OwnLayer(SteppedLayer):
    """Steps a user's own cell through a window."""

    def __init__(self, kind: type[nn.Module], input_size: int, hidden_size: int) -> None:
        super().__init__(hidden_size, int(getattr(kind, "num_states", 1)))
        self.cell = kind(input_size, hidden_size)

    def step(self, input_BI: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the cell's output and state."""
        result: tuple[Tensor, State] = self.cell(input_BI, state)
        return result


_KNOWN: dict[str, OwnCell] = {}
"""This process's cells, by name: a user names files to a process, not to a function."""


def execute_and_register(cells: Iterable[OwnCell]) -> None:
    """Register cells, on a worker those of the driver, and execute their sources."""
    for cell in cells:
        class_of(cell.name, cell.source)  # executed now, not when a network's weights are drawn
        _KNOWN[cell.name] = cell


def known_cells() -> tuple[OwnCell, ...]:
    """Return all cells of this process."""
    return tuple(_KNOWN.values())


def own_cell(name: str) -> OwnCell:
    """Return a user's own cell.

    Raises:
        ConfigError: The user has not named its file.
    """
    if name not in _KNOWN:
        raise ConfigError(
            f"the file of the cell {name} must be named, because no other is executed: "
            f"--cell {name}, with its path"
        )
    return _KNOWN[name]


def sha256_of(cell: str) -> str | None:
    """Return the SHA-256 of a cell's file; None for a built-in cell.

    Raises:
        ConfigError: The user has not named its file.
    """
    return own_cell(cell).sha256 if is_own_cell(cell) else None


@functools.cache
def class_of(name: str, source: bytes) -> type[nn.Module]:
    """Execute a source and return its class.

    Raises:
        ConfigError: It does not run, or has no such class.
    """
    file, _, wanted = name.rpartition(":")
    module = ModuleType(f"own_cells_{hashlib.sha256(source).hexdigest()}")
    sys.modules[module.__name__] = module  # dataclasses look up their fields' types there
    try:
        exec(compile(source, file, "exec"), module.__dict__)
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise ConfigError(
            f"a cell's file must run by itself: {file}: {type(error).__name__}: "
            f"{first_line(error)}"
        ) from error
    kind = getattr(module, wanted, None)
    if not isinstance(kind, type) or not issubclass(kind, nn.Module):
        raise ConfigError(
            f"a cell must be a class of its file, a torch.nn.Module: {file} has no such {wanted}"
        )
    return kind
