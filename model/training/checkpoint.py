"""A checkpoint is a folder: tensors in safetensors files, everything readable in meta.json.

No pickle, and nothing outside the folder is needed to generate text. `model.safetensors`, the
network of the best epoch, and `meta.json` are enough for that. `training.safetensors`, the
network and the optimiser after the last epoch, is there in checkpoints that training can go
on from. `SHA256SUMS` has the checksum of each, so damage is found before a tensor is used.
A folder appears, or replaces another, whole or not at all (files.py).
"""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from model.config import RESOLVED_PRECISIONS, TrialConfig
from model.errors import CheckpointError, ConfigError, unknown_choice
from model.network.base import Network
from model.network.lstm import build_network
from model.system.files import (
    SUMS_FILE,
    check_replaceable,
    check_sum,
    in_place_of,
    readable_folder,
    write_sums,
)
from model.text.vocabulary import Vocabulary
from model.text.words import WordVocabulary

FORMAT_VERSION = 3
WITHOUT_SUMS = 2
"""The format before there were checksums; it is still read."""
MODEL_FILE = "model.safetensors"
META_FILE = "meta.json"
TRAINING_FILE = "training.safetensors"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointMeta:
    """What meta.json holds.

    Attributes:
        config: The configuration that was trained.
        vocabulary: Its symbols; with words, what reads, writes and spells them.
        metrics: The report of the best epoch, whose network the checkpoint holds.
        last_metrics: The report of the last epoch, which training goes on from.
        precision: The arithmetic that it was trained in, float32 or bfloat16; None in checkpoints
            from before it was written down.
        text_sha256: Of the training part and the validation passage (streams.training_sha256);
            None as above.
    """

    config: TrialConfig
    vocabulary: Vocabulary | WordVocabulary
    metrics: dict[str, Any]
    last_metrics: dict[str, Any]
    precision: str | None = None
    text_sha256: str | None = None


def check_new(folder: Path) -> None:
    """Find out whether a checkpoint can be made, before an epoch is trained for it.

    Raises:
        ConfigError: There is one of that name.
        CheckpointError: The folder cannot be written.
    """
    try:
        if readable_folder(folder).exists():
            rule = "a checkpoint folder must not exist yet"
            raise ConfigError(f"{rule}: {folder}; go on with --resume")
        check_replaceable(folder)
    except OSError as error:
        raise CheckpointError(f"cannot write checkpoint {folder}: {error.strerror}") from error


def save_checkpoint(
    folder: Path,
    weights: dict[str, Tensor],
    meta: CheckpointMeta,
    training: dict[str, Tensor],
) -> None:
    """Write a checkpoint folder; one of that name is replaced, and can be loaded until then.

    Raises:
        CheckpointError: The folder cannot be written.
    """
    values = {
        "format_version": FORMAT_VERSION,
        "config": meta.config.to_dict(),
        "vocabulary": _vocabulary_to_json(meta.vocabulary),
        "metrics": meta.metrics,
        "last_metrics": meta.last_metrics,
        "precision": meta.precision,
        "text_sha256": meta.text_sha256,
    }
    try:
        with in_place_of(folder) as partial:
            save_file(weights, partial / MODEL_FILE)
            save_file(training, partial / TRAINING_FILE)
            text = json.dumps(values, indent=2, ensure_ascii=False)
            (partial / META_FILE).write_text(text + "\n", encoding="utf-8")
            write_sums(partial, (MODEL_FILE, META_FILE, TRAINING_FILE))
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot write checkpoint {folder}: {error}") from error


def load_checkpoint(
    folder: Path, device: torch.device | str = "cpu"
) -> tuple[Network, CheckpointMeta]:
    """Read the network and what is known of it.

    Raises:
        CheckpointError: The folder is missing, incomplete, damaged or of another format.
    """
    folder = readable_folder(folder)
    meta = _read_meta(folder)
    _check(folder, META_FILE, MODEL_FILE)
    model = build_network(meta.config, len(meta.vocabulary))
    try:
        model.load_state_dict(load_file(folder / MODEL_FILE, device="cpu"))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise CheckpointError(f"damaged checkpoint {folder / MODEL_FILE}: {error}") from error
    return model.to(device), meta


def load_training_state(folder: Path) -> dict[str, Tensor]:
    """Read the optimiser's tensors of a checkpoint.

    Raises:
        CheckpointError: The checkpoint has none, or the file is damaged.
    """
    folder = readable_folder(folder)
    _check(folder, TRAINING_FILE)
    try:
        return load_file(folder / TRAINING_FILE, device="cpu")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot train on from {folder / TRAINING_FILE}: {error}") from error


def copy_model(folder: Path, target: Path) -> None:
    """Copy what generating text needs into a new folder.

    Raises:
        CheckpointError: The checkpoint is damaged.
        OSError: The copy cannot be written.
    """
    folder = readable_folder(folder)
    load_checkpoint(folder)
    target.mkdir(parents=True)
    for name in (MODEL_FILE, META_FILE):
        shutil.copy2(folder / name, target / name)
    write_sums(target, (MODEL_FILE, META_FILE))


def _check(folder: Path, *names: str) -> None:
    """Compare files with their checksums; a folder of the format without them has none."""
    if not (folder / SUMS_FILE).exists():
        values = json.loads((folder / META_FILE).read_text(encoding="utf-8"))
        if values["format_version"] == WITHOUT_SUMS:
            return
    for name in names:
        check_sum(folder, name)


def _read_meta(folder: Path) -> CheckpointMeta:
    path = folder / META_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["format_version"] not in (WITHOUT_SUMS, FORMAT_VERSION):
            raise CheckpointError(
                f"checkpoint format must be {WITHOUT_SUMS} or {FORMAT_VERSION}, "
                f"got {values['format_version']} in {path}"
            )
        return CheckpointMeta(
            config=TrialConfig.from_dict(values["config"]),
            vocabulary=_vocabulary_from_json(values["vocabulary"]),
            metrics=values["metrics"],
            last_metrics=values["last_metrics"],
            precision=_precision_from_json(values.get("precision")),
            text_sha256=values.get("text_sha256"),
        )
    except FileNotFoundError as error:
        raise CheckpointError(
            f"a checkpoint must be a folder with {MODEL_FILE} and {META_FILE}, got {folder}"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, ConfigError) as error:
        raise CheckpointError(f"damaged checkpoint {path}: {error!r}") from error


def _precision_from_json(value: Any) -> str | None:
    if value is not None and value not in RESOLVED_PRECISIONS:
        raise ConfigError(unknown_choice("precision", str(value), RESOLVED_PRECISIONS))
    return None if value is None else str(value)


def _vocabulary_to_json(vocabulary: Vocabulary | WordVocabulary) -> str | dict[str, Any]:
    """Return characters as one string, words as an object."""
    if isinstance(vocabulary, Vocabulary):
        return "".join(vocabulary.symbols)
    return {
        "tokens": list(vocabulary.tokens),
        "rare_words": list(vocabulary.rare_words),
        "alphabet": "".join(vocabulary.alphabet),
    }


def _vocabulary_from_json(values: str | dict[str, Any]) -> Vocabulary | WordVocabulary:
    if isinstance(values, str):
        return Vocabulary(tuple(values))
    return WordVocabulary(
        tokens=tuple(values["tokens"]),
        rare_words=tuple(values["rare_words"]),
        alphabet=tuple(values["alphabet"]),
    )
