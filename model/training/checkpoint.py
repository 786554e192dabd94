"""A checkpoint is a folder: tensors in safetensors files, everything readable in meta.json.

There is no pickle. `model.safetensors`, the network of the best epoch, and `meta.json` suffice to
generate text; nothing outside the folder is needed. `training.safetensors`, the network and the
optimiser after the last epoch, is present in checkpoints from which training can continue.
`SHA256SUMS` has the checksum of each file, so damage is found before a tensor is used.
A folder is created or replaced atomically (files.py).
"""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from model.config import TrialConfig
from model.errors import CheckpointError, ConfigError, first_line
from model.network.base import Network
from model.network.lstm import build_network, tensor_shapes
from model.network.precision import Arithmetic
from model.system.files import (
    SUMS_FILE,
    check_holds_files,
    check_replaceable,
    check_sum,
    in_place_of,
    read_regular,
    readable_folder,
    write_sums,
)
from model.system.json_schema import checked, parsed, record
from model.text.common_chars import CommonCharVocabulary
from model.text.streams import AnyVocabulary
from model.text.utf8 import ENCODING, ByteVocabulary
from model.text.vocabulary import Vocabulary
from model.text.words import WordVocabulary
from model.training.epoch_report import EpochReport
from model.training.named_cells import check_same_file

FORMAT_VERSION = 3
MODEL_FILE = "model.safetensors"
META_FILE = "meta.json"
TRAINING_FILE = "training.safetensors"
_FILES = (META_FILE, MODEL_FILE, TRAINING_FILE, SUMS_FILE)
_FEW_PARTS = 100
_MAX_META_BYTES = 1 << 30
"""A vocabulary's words take most of it."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """A checkpoint with whose weights a training started.

    Attributes:
        checkpoint: Its folder, an absolute path.
        model_sha256: SHA-256 of its file of weights.
        epoch: Passes over its text up to then.
        val_bits_per_char: Its objective, on its own text.
        text_sha256: As in `CheckpointMeta`.
    """

    checkpoint: str
    model_sha256: str
    epoch: float
    val_bits_per_char: float
    text_sha256: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointMeta:
    """The contents of meta.json.

    Attributes:
        config: The configuration that was trained.
        vocabulary: Its symbols, in the configuration's unit; for words, also what is needed to
            read, write and spell them.
        metrics: The report of the best epoch, whose network the checkpoint holds.
        last_metrics: The report of the last epoch, from which training continues.
        precision: The precision of its training, float32 or bfloat16.
        kernel: The kernel of its LSTM, torch or fused.
        text_sha256: SHA-256 of training part and validation passage (streams.training_sha256).
        corpus: Where the text was found, a corpus name or an absolute path; None if neither
            is known.
        origin: The checkpoint with which the training started; None means random weights.
        cell_sha256: SHA-256 of the file of a user's own cell; None for a built-in cell.

    Raises:
        ConfigError: The vocabulary has another unit, or the precision or kernel is unknown.
    """

    config: TrialConfig
    vocabulary: AnyVocabulary
    metrics: EpochReport
    last_metrics: EpochReport
    precision: str
    kernel: str
    text_sha256: str
    corpus: str | None = None
    origin: Origin | None = None
    cell_sha256: str | None = None

    def __post_init__(self) -> None:
        if self.vocabulary.unit != self.config.unit:
            raise ConfigError(
                f"a vocabulary must be of the configuration's unit, {self.config.unit}, got one "
                f"of {self.vocabulary.unit}"
            )
        Arithmetic(precision=self.precision, kernel=self.kernel)  # raises if unknown


def check_new(folder: Path) -> None:
    """Check that a checkpoint can be created, before an epoch is trained for it.

    Raises:
        ConfigError: One of that name exists, or it is a dangling link.
        CheckpointError: The folder cannot be written.
    """
    check_writable(folder)
    if readable_folder(folder).exists():
        rule = "a checkpoint folder must not exist yet"
        raise ConfigError(f"{rule}: {folder}; continue it with --resume")
    if folder.is_symlink():
        raise ConfigError(f"a checkpoint folder must not be a dangling link, got {folder}")


def check_writable(folder: Path) -> None:
    """Check that a checkpoint can be created or replaced, before an epoch is trained for it.

    Raises:
        CheckpointError: The folder cannot be written.
    """
    try:
        check_replaceable(folder)
    except OSError as error:
        raise CheckpointError(f"cannot write checkpoint {folder}: {error.strerror}") from error


def save_checkpoint(
    folder: Path,
    weights: dict[str, Tensor],
    meta: CheckpointMeta,
    training: dict[str, Tensor],
) -> None:
    """Write a checkpoint folder; an existing one is replaced, and can be loaded until then.

    Raises:
        CheckpointError: The folder cannot be written.
    """
    values = {
        "format_version": FORMAT_VERSION,
        **dataclasses.asdict(meta),
        "vocabulary": _vocabulary_to_json(meta.vocabulary),
    }
    try:
        with in_place_of(folder) as partial:
            # save_file of safetensors 0.8 makes files that only their owner can read.
            (partial / MODEL_FILE).write_bytes(save(weights))
            (partial / TRAINING_FILE).write_bytes(save(training))
            text = json.dumps(values, indent=2, ensure_ascii=False)
            (partial / META_FILE).write_text(text + "\n", encoding="utf-8")
            write_sums(partial, (MODEL_FILE, META_FILE, TRAINING_FILE))
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot write checkpoint {folder}: {error}") from error


def load_checkpoint(
    folder: Path, device: torch.device | str = "cpu"
) -> tuple[Network, CheckpointMeta]:
    """Read the network, in evaluation mode, and its metadata.

    Raises:
        CheckpointError: The folder is missing, incomplete, damaged or of another format.
    """
    folder = readable_folder(folder)
    meta = read_meta(folder)
    try:
        check_same_file(meta.config.cell, meta.cell_sha256, "its training")
    except ConfigError as error:
        raise CheckpointError(f"{folder}: {error}") from error
    for name in (META_FILE, MODEL_FILE):
        check_sum(folder, name)
    path = folder / MODEL_FILE
    try:
        _check_shapes(path, meta)
        weights = load_file(path, device="cpu")
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"damaged checkpoint {path}: {error}") from error
    if not all(torch.isfinite(weight).all() for weight in weights.values()):
        raise CheckpointError(f"damaged checkpoint {path}: weights must be finite numbers")
    model = build_network(meta.config, len(meta.vocabulary))
    model.load_state_dict(weights)
    model.use_kernel(meta.kernel, meta.precision)
    return model.to(device).eval(), meta


def _check_shapes(path: Path, meta: CheckpointMeta) -> None:
    """Compare a file of tensors with its configuration, before either takes memory.

    Raises:
        ValueError: A tensor is missing, has another shape or is not of floats.
    """
    with safe_open(path, framework="pt") as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        found = {name: (tuple(s.get_shape()), s.get_dtype()) for name, s in slices.items()}
    config = meta.config
    num_parts = config.num_layers
    if config.cell == "mogrifier":
        num_parts *= max(1, config.mogrifier_rounds)
    # Each is a module, which takes memory whatever its size; a user's own cell may have no tensor.
    if num_parts > max(len(found), _FEW_PARTS):
        raise ValueError(
            f"each layer and each round must have a tensor, got {len(found):,} for {num_parts:,}"
        )
    try:
        expected = tensor_shapes(config, len(meta.vocabulary))
    except (RuntimeError, TypeError, MemoryError, OverflowError) as error:  # beyond 64 bits
        raise ValueError(f"no network has such sizes: {first_line(error)}") from error
    for name in expected.keys() | found.keys():
        shape = expected.get(name)
        if name not in found or found[name] != (shape, "F32"):
            raise ValueError(
                f"the tensor {name!r} must be {shape} of F32 according to the configuration, "
                f"got {found.get(name)}"
            )


def load_training_state(folder: Path) -> dict[str, Tensor]:
    """Read the optimiser's tensors of a checkpoint.

    Raises:
        CheckpointError: The checkpoint has none, or the file is damaged.
    """
    folder = readable_folder(folder)
    check_holds_files(folder, _FILES)
    check_sum(folder, TRAINING_FILE)
    try:
        return load_file(folder / TRAINING_FILE, device="cpu")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"cannot continue training from {folder / TRAINING_FILE}: {error}"
        ) from error


def copy_model(folder: Path, target: Path) -> None:
    """Copy the files that generating text needs into a new folder.

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


def read_meta(folder: Path) -> CheckpointMeta:
    """Read a checkpoint's metadata, without its network.

    Raises:
        CheckpointError: It is missing, damaged, or of another format.
    """
    check_holds_files(folder, _FILES)
    path = folder / META_FILE
    try:
        text = read_regular(path, max_bytes=_MAX_META_BYTES).decode()
        values: dict[str, Any] = parsed(text, dict[str, Any], META_FILE)
    except FileNotFoundError as error:
        is_run = (folder / "checkpoints").is_dir()
        hint = "; of this run, use predictor or checkpoints/01" if is_run else ""
        raise CheckpointError(
            f"a checkpoint must be a folder with {MODEL_FILE} and {META_FILE}, got {folder}{hint}"
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"damaged checkpoint {path}: {error}") from error
    found = values.get("format_version")
    if found != FORMAT_VERSION:
        raise CheckpointError(
            f"checkpoint format must be {FORMAT_VERSION}, got {found!r} in {path}"
        )
    try:
        vocabulary = _vocabulary_from_json(values.get("vocabulary"))
        meta: CheckpointMeta = record(
            {**values, "vocabulary": vocabulary}, CheckpointMeta, META_FILE
        )
    except ValueError as error:
        raise CheckpointError(f"damaged checkpoint {path}: {error}") from error
    return meta


def _vocabulary_to_json(vocabulary: AnyVocabulary) -> str | dict[str, Any]:
    """Return characters as one string, other vocabularies as an object."""
    if isinstance(vocabulary, Vocabulary):
        return "".join(vocabulary.symbols)
    if isinstance(vocabulary, CommonCharVocabulary):
        return {"common": "".join(vocabulary.common), "rare": "".join(vocabulary.rare)}
    if isinstance(vocabulary, ByteVocabulary):
        return {"encoding": ENCODING}
    return {
        "tokens": list(vocabulary.tokens),
        "rare_words": list(vocabulary.rare_words),
        "alphabet": "".join(vocabulary.alphabet),
        "speller": "kneser-ney",
    }


def _vocabulary_from_json(values: Any) -> AnyVocabulary:
    if isinstance(values, str):
        return Vocabulary(tuple(values))
    words = checked(values, dict[str, Any], "vocabulary")
    if "encoding" in words:
        checked(words["encoding"], Literal["utf-8"], "the vocabulary's encoding")
        return ByteVocabulary()
    if "common" in words:
        common, rare = (checked(words.get(name), str, name) for name in ("common", "rare"))
        return CommonCharVocabulary(tuple(common), tuple(rare))
    alphabet = checked(words.get("alphabet"), str, "alphabet")
    # Checkpoints without this key spelled their words with another n-gram.
    checked(words.get("speller"), Literal["kneser-ney"], "the vocabulary's speller")
    words_only: WordVocabulary = record(
        {**words, "alphabet": list(alphabet)}, WordVocabulary, "vocabulary"
    )
    return words_only
