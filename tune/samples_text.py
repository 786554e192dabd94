"""The text of samples.md: passages that the kept checkpoints write."""

import dataclasses
from pathlib import Path

from model.checkpoint import load_checkpoint
from model.cleaning import clean
from model.errors import ConfigError
from model.sampler import SamplingOptions, write_passages
from tune.records import write_text
from tune.run_folder import RunFolder


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """What one checkpoint wrote, and its caption."""

    caption: str
    text: str


def write_samples(
    folder: RunFolder,
    *,
    top: int,
    num_chars: int,
    options: SamplingOptions,
    prime: str = "",
    seed: int = 0,
) -> list[Passage]:
    """Write samples.md from a run's kept checkpoints and return its passages, best first.

    Args:
        folder: The run.
        top: How many checkpoints write, at least 1.
        num_chars: Characters of a passage, at least 1.
        options: How characters are drawn.
        prime: What the passages begin with.
        seed: Seed of the draws.

    Raises:
        ConfigError: A value is out of its range, the prime has unknown characters, or the run
            kept no checkpoint.
        CheckpointError: A checkpoint is damaged.
    """
    if top < 1:
        raise ConfigError(f"top must be at least 1, got {top}")
    kept = folder.checkpoints()
    if not kept:
        raise ConfigError(f"a run must have kept a checkpoint to write text, got {folder.path}")
    passages = [
        _passage(path, num_chars=num_chars, options=options, prime=prime, seed=seed)
        for path in kept[:top]
    ]
    how = ", ".join(
        f"{name} {value}"
        for name, value in dataclasses.asdict(options).items()
        if value is not None
    )
    lines = [f"# Samples\n\nDrawn with {how}, seed {seed}. In full: `python -m tune.samples`."]
    for rank, passage in enumerate(passages, start=1):
        lines.append(f"## {rank}. {passage.caption}\n\n{_indent(passage.text)}")
    write_text(folder.samples_file, "\n\n".join(lines) + "\n")
    return passages


def _passage(
    path: Path, *, num_chars: int, options: SamplingOptions, prime: str, seed: int
) -> Passage:
    model, meta = load_checkpoint(path)
    config = meta.config
    (written,) = write_passages(
        model,
        meta.vocabulary,
        prime=prime,
        cleaning=config.cleaning,
        num_chars=num_chars,
        options=options,
        seed=seed,
    )
    unit = "words, " if config.unit == "word" else ""
    caption = (
        f"{meta.metrics['val_bits_per_char']:.4f} bits per character: {config.num_layers} x "
        f"{config.hidden_size}, {unit}{config.cleaning}, epoch {meta.metrics['epoch']}"
    )
    return Passage(caption=caption, text=clean(prime, config.cleaning) + written)


def _indent(text: str) -> str:
    """Indent by four: Markdown shows the text as it is, whatever it contains."""
    return "\n".join("    " + line for line in text.split("\n"))
