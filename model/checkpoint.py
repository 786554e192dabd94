"""A checkpoint is a folder: tensors in safetensors files, everything readable in meta.json.

No pickle, and nothing outside the folder is needed to generate text. `model.safetensors`, the
network of the best epoch, and `meta.json` are enough for that. `training.safetensors`, the
network and the optimiser after the last epoch, is there in checkpoints that training can go
on from. A folder appears whole or not at all.
"""

import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from model.config import TrialConfig
from model.errors import CheckpointError, ConfigError
from model.network import Network
from model.regimes import build_network
from model.vocabulary import Vocabulary
from model.word_vocabulary import WordVocabulary

FORMAT_VERSION = 2
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
    """

    config: TrialConfig
    vocabulary: Vocabulary | WordVocabulary
    metrics: dict[str, Any]
    last_metrics: dict[str, Any]


def save_checkpoint(
    folder: Path,
    weights: dict[str, Tensor],
    meta: CheckpointMeta,
    training: dict[str, Tensor],
) -> None:
    """Write a checkpoint folder atomically; a folder of that name is replaced.

    Raises:
        CheckpointError: The folder cannot be written.
    """
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    values = {
        "format_version": FORMAT_VERSION,
        "config": meta.config.to_dict(),
        "vocabulary": _vocabulary_to_json(meta.vocabulary),
        "metrics": meta.metrics,
        "last_metrics": meta.last_metrics,
    }
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_file(weights, partial / MODEL_FILE)
        save_file(training, partial / TRAINING_FILE)
        text = json.dumps(values, indent=2, ensure_ascii=False)
        (partial / META_FILE).write_text(text + "\n", encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot write checkpoint {folder}: {error}") from error


def load_checkpoint(
    folder: Path, device: torch.device | str = "cpu"
) -> tuple[Network, CheckpointMeta]:
    """Read the network and what is known of it.

    Raises:
        CheckpointError: The folder is missing, incomplete, damaged or of another format.
    """
    meta = _read_meta(folder)
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
    try:
        return load_file(folder / TRAINING_FILE, device="cpu")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot train on from {folder / TRAINING_FILE}: {error}") from error


def _read_meta(folder: Path) -> CheckpointMeta:
    path = folder / META_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["format_version"] != FORMAT_VERSION:
            raise CheckpointError(
                f"checkpoint format must be {FORMAT_VERSION}, "
                f"got {values['format_version']} in {path}"
            )
        return CheckpointMeta(
            config=TrialConfig.from_dict(values["config"]),
            vocabulary=_vocabulary_from_json(values["vocabulary"]),
            metrics=values["metrics"],
            last_metrics=values["last_metrics"],
        )
    except FileNotFoundError as error:
        raise CheckpointError(
            f"a checkpoint must be a folder with {MODEL_FILE} and {META_FILE}, got {folder}"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, ConfigError) as error:
        raise CheckpointError(f"damaged checkpoint {path}: {error!r}") from error


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
