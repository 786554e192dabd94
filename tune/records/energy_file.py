"""energy.json: the energy that the driver's machine used while a search ran, all its sessions."""

import dataclasses
import json
from pathlib import Path

from model.errors import ConfigError
from model.system.energy import Energy
from model.system.files import write_text
from model.system.json_schema import parsed


def write_energy_file(energy: Energy, path: Path) -> None:
    """Write energy.json whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    write_text(path, json.dumps(dataclasses.asdict(energy), indent=2) + "\n")


def read_energy_file(path: Path) -> Energy:
    """Return energy.json; without the file nothing was measured.

    Raises:
        ConfigError: It is damaged.
    """
    if not path.exists():
        return Energy()
    try:
        energy: Energy = parsed(path.read_text(encoding="utf-8"), Energy, path.name)
    except (OSError, ValueError) as error:
        raise ConfigError(f"a run's energy must be readable: {path}: {error}") from error
    return energy
