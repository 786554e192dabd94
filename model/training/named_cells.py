"""Executes the files of cells that the user names: `--cell my_cells.py:MyCell`."""

from collections.abc import Sequence
from pathlib import Path

from model.config import CELLS, own_cell_name
from model.errors import ConfigError
from model.network.cell_check import execute_cell
from model.network.own_cells import known_cells, sha256_of
from model.system.files import expanded


def execute_cells(named: Sequence[str]) -> tuple[str, ...]:
    """Execute the cells that the user has named, and return their names in configurations.

    Files are executed, so never pass names from a run folder, a checkpoint or a storage.

    Args:
        named: Built-in cells by name, and PATH.py:CLASS.

    Raises:
        ConfigError: There is no such cell or file, or the file's class is not a cell.
    """
    executed: dict[str, bytes] = {}
    names: list[str] = []
    for each in named:
        if each in CELLS:
            names.append(each)
            continue
        name = own_cell_name(each)
        path = expanded(each.rpartition(":")[0])
        try:
            source = path.read_bytes()
        except OSError as error:
            raise ConfigError(
                f"a cell's file must be readable: {path}: {error.strerror}"
            ) from error
        if executed.get(name, source) != source:
            raise ConfigError(f"cells of two files must have different names, got two {name}")
        if name not in executed:
            executed[name] = source
            execute_cell(name, source, named=each)
        names.append(name)
    return tuple(dict.fromkeys(names))


def execute_cells_beside(names: Sequence[str], folder: Path) -> None:
    """Execute the cells that a user's space file names, from its folder, unless already known.

    Raises:
        ConfigError: As `execute_cells`.
    """
    known = {cell.name for cell in known_cells()}
    execute_cells([str(folder / name) for name in names if name not in known])


def check_same_file(cell: str, sha256: str | None, owner: str) -> None:
    """Reject a user's own cell whose file is not the one with which something began.

    Args:
        cell: A cell.
        sha256: SHA-256 of that file according to its owner; None if unknown or built in.
        owner: What began with that file.

    Raises:
        ConfigError: The file is a different one, or the user has not named it.
    """
    ours = sha256_of(cell)
    if ours != sha256:
        raise ConfigError(
            f"the file of the cell {cell} must be the one that {owner} began with, sha256 "
            f"{(sha256 or 'unknown')[:12]}, got {(ours or 'none')[:12]}"
        )
