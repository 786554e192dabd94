"""The arithmetic of a node's workers: one choice for each shape.

Each worker would measure for itself, and on a busy machine two may come to different answers: with
two threads a trial, 14 of 80 measurements did. Trials of one search would then not compare.
"""

import contextlib
import os
import tempfile
from pathlib import Path

import ray

from model.config import TrialConfig
from model.network.precision import resolve_precision, size_class
from model.system.devices import Device


def node_folder() -> Path | None:
    """Return a folder of this node and session of Ray, for its workers; None outside of Ray."""
    if not ray.is_initialized():
        return None
    node_id = ray.get_runtime_context().get_node_id()
    return Path(tempfile.gettempdir()) / f"char-lstm-tune-{node_id}"


def precision_on_node(config: TrialConfig, device: Device, folder: Path | None) -> str:
    """Return what the first worker of the node chose for this shape.

    Args:
        config: Of a trial; where it names a precision, that is it.
        device: What the trial trains on.
        folder: Where the node's workers leave their choices; None is nowhere.
    """
    is_measured = config.precision == "auto" and device.type == "cpu" and config.cell == "lstm"
    if folder is None or not is_measured:
        return resolve_precision(config, device)
    path = folder / f"precision-{size_class(config)}"
    if path.exists():
        return path.read_text(encoding="utf-8")
    chosen = resolve_precision(config, device)
    folder.mkdir(mode=0o700, exist_ok=True)
    own = path.with_name(f"{path.name}.{os.getpid()}")
    own.write_text(chosen, encoding="utf-8")
    with contextlib.suppress(FileExistsError):  # another worker was first
        os.link(own, path)
    own.unlink()
    return path.read_text(encoding="utf-8")
