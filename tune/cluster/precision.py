"""The arithmetic of a node's workers: one choice per shape.

If each worker measured for itself, two might get different answers on a busy machine (with two
threads per trial, 14 of 80 measurements did), and a search's trials would not be comparable.
"""

import contextlib
import os
import tempfile
from pathlib import Path

import ray

from model.config import TrialConfig
from model.network.precision import Arithmetic, resolve_arithmetic, size_class
from model.system.devices import Device


def node_folder() -> Path | None:
    """Return a folder for the workers of this node and Ray session; None outside Ray."""
    if not ray.is_initialized():
        return None
    node_id = ray.get_runtime_context().get_node_id()
    return Path(tempfile.gettempdir()) / f"char-lstm-tune-{node_id}"


def arithmetic_on_node(config: TrialConfig, device: Device, folder: Path | None) -> Arithmetic:
    """Return what the node's first worker chose for this shape.

    Args:
        config: A trial's configuration; if it leaves no choice, it decides.
        device: What the trial trains on.
        folder: Where the node's workers leave their choices; None for nowhere.
    """
    is_open = "auto" in (config.precision, config.kernel)
    is_measured = config.cell == "lstm" and device.type == "cpu" and is_open
    if folder is None or not is_measured:
        return resolve_arithmetic(config, device)
    path = folder / f"arithmetic-{size_class(config)}-{config.precision}-{config.kernel}"
    if not path.exists():
        chosen = resolve_arithmetic(config, device)
        folder.mkdir(mode=0o700, exist_ok=True)
        own = path.with_name(f"{path.name}.{os.getpid()}")
        own.write_text(f"{chosen.precision} {chosen.kernel}", encoding="utf-8")
        with contextlib.suppress(FileExistsError):  # another worker was first
            os.link(own, path)
        own.unlink()
    precision, kernel = path.read_text(encoding="utf-8").split()
    return Arithmetic(precision=precision, kernel=kernel)
