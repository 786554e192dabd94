"""Cells of the user's own: classes of a text that the user has named, known to this process.

What a run folder, a checkpoint or a storage names is never executed: a class is known once
`take_cell` (cell_trial.py) was given the text of a file that the user named, or `know_cells`, on a
worker, what the driver knows. docs/cells.md has the protocol.

Shapes: T time steps, B columns, I inputs, H hidden.
"""

import dataclasses
import functools
import hashlib
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from model.config import is_own_cell
from model.errors import ConfigError, first_line
from model.network.base import State


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class OwnCell:
    """A class that has been tried.

    Attributes:
        name: The last part of the file's path, and the class: my_cells.py:MyCell.
        named: What the user called it.
        source: What the file holds.
        kept_bytes: Of a unit, time step and column: what the backward pass needs of the step.
        step_ratio: Seconds of a small step by those of a Mogrifier's without rounds.
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


class OwnLayer(nn.Module):
    """Steps a cell of the user's own through a window."""

    def __init__(self, cell: nn.Module, hidden_size: int) -> None:
        super().__init__()
        self.cell = cell
        self._hidden_size = hidden_size
        self._num_states = int(getattr(cell, "num_states", 1))

    def forward(self, values_TBI: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return the outputs (T, B, H) and the state after them."""
        if state is None:
            zeros_BH = values_TBI.new_zeros(values_TBI.shape[1], self._hidden_size)
            parts = (zeros_BH,) * self._num_states
        else:
            parts = tuple(part_1BH[0] for part_1BH in state)
        outputs: list[Tensor] = []
        for step_BI in values_TBI.unbind():
            output_BH, parts = self.cell(step_BI, parts)
            outputs.append(output_BH)
        return torch.stack(outputs), tuple(part_BH[None] for part_BH in parts)


_KNOWN: dict[str, tuple[OwnCell, type[nn.Module]]] = {}
"""Those of this process, by their names: a user names files to a process, not to a function."""


def know_cells(cells: Iterable[OwnCell]) -> None:
    """Know, on a worker, what the driver knows."""
    for cell in cells:
        if cell.name not in _KNOWN or _KNOWN[cell.name][0] != cell:
            know_class(cell, class_of(cell.name, cell.source))


def know_class(cell: OwnCell, kind: type[nn.Module]) -> None:
    """Know a cell by its class."""
    _KNOWN[cell.name] = cell, kind


def known_cells() -> tuple[OwnCell, ...]:
    """Return all that this process knows."""
    return tuple(cell for cell, _ in _KNOWN.values())


def own_cell(name: str) -> OwnCell:
    """Return a cell of the user's own.

    Raises:
        ConfigError: The user has not named its file.
    """
    return _known(name)[0]


def sha256_of(cell: str) -> str | None:
    """Return the SHA-256 of a cell's file; None of one of ours.

    Raises:
        ConfigError: The user has not named its file.
    """
    return own_cell(cell).sha256 if is_own_cell(cell) else None


def own_layer(name: str, input_size: int, hidden_size: int) -> OwnLayer:
    """Return a layer of a cell of the user's own.

    Raises:
        ConfigError: The user has not named its file.
    """
    return layer_of_class(_known(name)[1], input_size, hidden_size)


def own_sizes(name: str, input_size: int, hidden_size: int) -> tuple[int, int]:
    """Return the parameters of a layer that are matrices, and the other ones.

    Raises:
        ConfigError: The user has not named its file.
    """
    kind: Any = _known(name)[1]  # mypy takes a class for one without a hash
    return _num_parameters(kind, input_size, hidden_size)


def _known(name: str) -> tuple[OwnCell, type[nn.Module]]:
    if name not in _KNOWN:
        raise ConfigError(
            f"the file of the cell {name} must be named, as none is executed otherwise: "
            f"--cell {name}, with its path"
        )
    return _KNOWN[name]


def class_of(name: str, source: bytes) -> type[nn.Module]:
    """Execute a text and return its class.

    Raises:
        ConfigError: It does not run, or has no such class.
    """
    file, _, wanted = name.rpartition(":")
    module = ModuleType(f"own_cells_{hashlib.sha256(source).hexdigest()}")
    sys.modules[module.__name__] = module  # dataclasses look there for the types of their fields
    try:
        exec(compile(source, file, "exec"), module.__dict__)
    except (Exception, SystemExit) as error:  # it is the user's code: anything may happen in it
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


def layer_of_class(kind: type[nn.Module], input_size: int, hidden_size: int) -> OwnLayer:
    """Return a layer of a class."""
    return OwnLayer(kind(input_size, hidden_size), hidden_size)


@functools.cache
def _num_parameters(kind: type[nn.Module], input_size: int, hidden_size: int) -> tuple[int, int]:
    with torch.device("meta"):
        cell = kind(input_size, hidden_size)
    matrices = sum(p.numel() for p in cell.parameters() if p.dim() > 1)
    return matrices, sum(p.numel() for p in cell.parameters()) - matrices
