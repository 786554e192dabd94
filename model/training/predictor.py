"""A predictor is a folder: networks over the same symbols, an n-gram of these, and their weights.

It is loaded like a checkpoint: `load_network` loads either. `predictor.json` has the weights and
the cache's settings, `01`, `02` … are the networks' checkpoints, and `ngram.safetensors` is the
text that the n-gram counts (its n-grams would take 38 to 64 times as much: LOG.md). A folder is
created or replaced atomically.
"""

import dataclasses
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from model.config import TrialConfig
from model.errors import CheckpointError
from model.network.base import Network
from model.scoring.mixture import MAX_NETWORKS, Mixture
from model.scoring.ngram_cache import NgramCache
from model.scoring.objective import MAX_TRAIN_CHARS
from model.system.files import (
    SUMS_FILE,
    check_holds_files,
    check_sum,
    in_place_of,
    read_regular,
    readable_folder,
    write_sums,
)
from model.system.json_schema import checked, parsed, record
from model.text.ngram import MAX_ORDER, Ngram
from model.text.streams import AnyVocabulary
from model.text.vocabulary import Symbols
from model.training.checkpoint import CheckpointMeta, copy_model, load_checkpoint, read_meta
from model.training.named_cells import check_same_file

PREDICTOR_FILE = "predictor.json"
NGRAM_FILE = "ngram.safetensors"
FORMAT_VERSION = 1
_MAX_META_BYTES = 1 << 20
_SYMBOLS = "symbols"
_WHOLE_NUMBERS = {"U8", "I16", "I32", "I64"}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PredictorMeta:
    """The contents of predictor.json.

    Attributes:
        weights: Those of the networks, in their folders' order, then that of the n-gram if there
            is one; at least 0, with a sum of 1.
        ngram_order: The n-gram's order; None without an n-gram.
        val_bits_per_char: Its score on the validation passage, on which the weights were fitted:
            restored bits per raw character.
        cache: The cache with which it scores; None without one, as before 2026-11-30.

    Raises:
        ValueError: A number is out of its range.
    """

    weights: tuple[float, ...]
    ngram_order: int | None
    val_bits_per_char: float
    cache: NgramCache | None = None

    def __post_init__(self) -> None:
        if min(self.weights, default=-1.0) < 0 or not math.isclose(sum(self.weights), 1.0):
            raise ValueError(f"weights must be at least 0 with a sum of 1, got {self.weights}")
        if self.ngram_order is not None and not 1 <= self.ngram_order <= MAX_ORDER:
            raise ValueError(f"ngram_order must be in 1 to {MAX_ORDER}, got {self.ngram_order}")
        if not 1 <= self.num_networks <= MAX_NETWORKS:
            raise ValueError(f"networks must be 1 to {MAX_NETWORKS}, got {self.num_networks}")

    @property
    def num_networks(self) -> int:
        """Number of networks among the members."""
        return len(self.weights) - (self.ngram_order is not None)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LoadedNetwork:
    """A network that scores and writes: that of a checkpoint, or a predictor.

    Attributes:
        network: The network, in evaluation mode.
        vocabulary: Its symbols.
        config: Its configuration; for a predictor, that of its first network.
        description: Its score and kind, in words.
        cache: The cache with which a predictor scores. It writes without one: a cache that counted
            its own text would repeat it.
    """

    network: Network
    vocabulary: AnyVocabulary
    config: TrialConfig
    description: str
    cache: NgramCache | None = None


def is_predictor(folder: Path) -> bool:
    """Return whether a folder is a predictor rather than a checkpoint."""
    # os.path: pathlib raises if a name is too long, until Python 3.14.
    return os.path.isfile(readable_folder(folder) / PREDICTOR_FILE)  # noqa: PTH113


def load_network(folder: Path, device: torch.device | str = "cpu") -> LoadedNetwork:
    """Load the network of a checkpoint, or a predictor.

    Raises:
        ConfigError: It has a user's own cell whose file the user has not named.
        CheckpointError: The folder is missing, incomplete, damaged or of another format.
    """
    if is_predictor(folder):
        return _load_predictor(readable_folder(folder), device)
    _meta_of_known_cell(readable_folder(folder))
    network, meta = load_checkpoint(folder, device)
    config = meta.config
    unit = {"word": "words, ", "byte": "bytes, "}.get(config.unit, "")
    description = (
        f"{meta.metrics.val_bits_per_char:.4f} validation bits per character: "
        f"{config.num_layers} x {config.hidden_size}, {unit}{config.cleaning}, "
        f"epoch {meta.metrics.epoch:g}"
    )
    return LoadedNetwork(
        network=network, vocabulary=meta.vocabulary, config=config, description=description
    )


def save_predictor(
    folder: Path, networks: Sequence[Path], meta: PredictorMeta, counted: Symbols | None
) -> None:
    """Write a predictor folder; an existing one is replaced, and can be loaded until then.

    Args:
        folder: Its folder.
        networks: Its networks' checkpoints; the files that generating text needs are copied.
        meta: Its metadata.
        counted: The symbols that the n-gram counts; None without an n-gram.

    Raises:
        CheckpointError: A checkpoint is damaged.
        OSError: The folder cannot be written.
    """
    assert len(networks) == meta.num_networks
    names = [PREDICTOR_FILE]
    with in_place_of(folder) as partial:
        for number, network in enumerate(networks, start=1):
            copy_model(network, _network_folder(partial, number))
        values = {"format_version": FORMAT_VERSION, **dataclasses.asdict(meta)}
        text = json.dumps(values, indent=2) + "\n"
        (partial / PREDICTOR_FILE).write_text(text, encoding="utf-8")
        if counted is not None:
            # Not save_file: see checkpoint.py.
            symbols = save({_SYMBOLS: np.ascontiguousarray(counted)})
            (partial / NGRAM_FILE).write_bytes(symbols)
            names.append(NGRAM_FILE)
        write_sums(partial, names)


def read_predictor_meta(folder: Path) -> PredictorMeta:
    """Read a predictor's metadata, without its networks.

    Raises:
        CheckpointError: It is missing, damaged or of another format.
    """
    networks = [_network_folder(folder, number).name for number in range(1, MAX_NETWORKS + 1)]
    check_holds_files(folder, (PREDICTOR_FILE, NGRAM_FILE, SUMS_FILE, *networks))
    path = folder / PREDICTOR_FILE
    try:
        text = read_regular(path, max_bytes=_MAX_META_BYTES).decode()
        values = parsed(text, dict[str, Any], PREDICTOR_FILE)
        version = checked(values.get("format_version"), int, "format_version")
        if version != FORMAT_VERSION:
            raise ValueError(f"format must be {FORMAT_VERSION}, got {version}")
        meta: PredictorMeta = record(values, PredictorMeta, PREDICTOR_FILE)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"damaged predictor {path}: {error}") from error
    return meta


def _load_predictor(folder: Path, device: torch.device | str) -> LoadedNetwork:
    meta = read_predictor_meta(folder)
    check_sum(folder, PREDICTOR_FILE)
    paths = [_network_folder(folder, number) for number in range(1, meta.num_networks + 1)]
    metas = [_meta_of_known_cell(path) for path in paths]
    vocabulary, config = metas[0].vocabulary, metas[0].config
    for path, other in zip(paths, metas, strict=True):
        if other.vocabulary != vocabulary or other.config.cleaning != config.cleaning:
            raise CheckpointError(f"damaged predictor {folder}: {path.name} has other symbols")
    ngram = None
    if meta.ngram_order is not None:
        counted = _counted(folder, len(vocabulary))
        ngram = Ngram.fit(counted, vocabulary_size=len(vocabulary), order=meta.ngram_order)
    networks = [load_checkpoint(path, device)[0] for path in paths]
    members = f"{len(networks)} network{'s' if len(networks) > 1 else ''}"
    description = (
        f"{meta.val_bits_per_char:.4f} validation bits per character: predictor of {members}"
        f"{f' and a {meta.ngram_order}-gram' if ngram else ''}, {config.cleaning}"
        f"{'; scored with a cache, written without' if meta.cache else ''}"
    )
    return LoadedNetwork(
        network=Mixture(networks, meta.weights, ngram).eval(),
        vocabulary=vocabulary,
        config=config,
        description=description,
        cache=meta.cache,
    )


def _meta_of_known_cell(folder: Path) -> CheckpointMeta:
    """Read the metadata of a network that the user wants to use.

    Raises:
        ConfigError: It has a user's own cell whose file the user has not named.
        CheckpointError: It is damaged.
    """
    meta = read_meta(folder)
    check_same_file(meta.config.cell, meta.cell_sha256, f"the training of {folder}")
    return meta


def _counted(folder: Path, vocabulary_size: int) -> Symbols:
    """Read the symbols that the n-gram counts.

    Raises:
        CheckpointError: They are missing or damaged.
    """
    path = folder / NGRAM_FILE
    try:
        check_sum(folder, NGRAM_FILE)
        with safe_open(path, framework="np") as file:  # before anything takes memory
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
            kinds = {file.get_slice(name).get_dtype() for name in shapes}
        lengths = [*shapes.get(_SYMBOLS, ())]
        if len(shapes) != 1 or len(lengths) != 1 or not kinds <= _WHOLE_NUMBERS:
            raise ValueError(f"must hold {_SYMBOLS!r}, whole numbers in one row")
        if 0 < lengths[0] <= MAX_TRAIN_CHARS:
            symbols: Symbols = load_file(path)[_SYMBOLS]
            if 0 <= symbols.min() <= symbols.max() < vocabulary_size:
                return symbols
        raise ValueError(f"must hold 1 to {MAX_TRAIN_CHARS:,} symbols below {vocabulary_size}")
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"damaged predictor {path}: {error}") from error


def _network_folder(folder: Path, number: int) -> Path:
    return folder / f"{number:02d}"
