"""Training that starts with a checkpoint's weights, or continues with its settings and text."""

from pathlib import Path

from model.config import TrialConfig
from model.errors import ConfigError
from model.system.files import readable_folder, sha256_of
from model.text.corpus import CORPORA, Corpus
from model.text.known_text import text_at
from model.text.reading import Reading
from model.training.checkpoint import MODEL_FILE, CheckpointMeta, Origin

_SHAPE = {
    "stream": (
        *("regime", "unit", "min_char_count", "hidden_size", "num_layers", "cell"),
        *("mogrifier_rounds", "normalization", "embedding_dim", "tie_weights"),
    ),
    "window": ("regime", "unit", "min_char_count", "hidden_size", "num_layers"),
}
"""The fields that determine a network's symbols and shape, by regime."""


def check_shape(config: TrialConfig, meta: CheckpointMeta, folder: Path) -> None:
    """Reject a configuration whose network cannot load the weights of a checkpoint.

    Raises:
        ConfigError: Its shape differs.
    """
    for name in _SHAPE[meta.config.regime]:
        if name == "mogrifier_rounds" and config.cell != "mogrifier":
            continue
        ours, theirs = getattr(config, name), getattr(meta.config, name)
        if ours != theirs:
            raise ConfigError(
                f"{name} must be that of the weights in {folder}, {theirs!r}, got {ours!r}"
            )


def origin_of(folder: Path, meta: CheckpointMeta) -> Origin:
    """Return the record of a checkpoint with whose weights a training starts."""
    return Origin(
        checkpoint=str(folder.resolve()),
        model_sha256=sha256_of(readable_folder(folder) / MODEL_FILE),
        epoch=meta.metrics.epoch,
        val_bits_per_char=meta.metrics.val_bits_per_char,
        text_sha256=meta.text_sha256,
    )


def text_of(meta: CheckpointMeta, folder: Path, *, reading: Reading) -> Corpus:
    """Return the text of a checkpoint, from the location that the checkpoint names.

    Raises:
        ConfigError: The checkpoint names none, or no text is there.
    """
    if meta.corpus is None:
        raise ConfigError(
            f"--corpus must name the text of {folder}, which does not say where it is"
        )
    if meta.corpus not in CORPORA and not Path(meta.corpus).is_absolute():
        raise ConfigError(f"--corpus must name the text of {folder}: {meta.corpus} is no path")
    return text_at(meta.corpus, reading=reading)
