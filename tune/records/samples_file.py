"""samples.json: what the best checkpoints write, as data; samples.md is the same for people."""

import dataclasses
import json
from pathlib import Path

from model.errors import ConfigError
from model.generation.quality import TextQuality
from model.system.files import write_text
from model.system.json_schema import parsed


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """What one checkpoint wrote.

    Attributes:
        caption: Its score and its network.
        how: The options that it was drawn with.
        text: The passage, its prime included.
        quality: Its figures, the prime left out.
        book: The mean figures of passages of the same length of the book that the network has
            not learnt; None where the book is not to be had.
    """

    caption: str
    how: str
    text: str
    quality: TextQuality
    book: TextQuality | None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Samples:
    """What the best checkpoints of a run write.

    Attributes:
        passages: One of each checkpoint, best first.
        at_temperatures: Temperature and passage of the best one, at each that it was measured at.
    """

    passages: tuple[Passage, ...]
    at_temperatures: tuple[tuple[float, str], ...] = ()


def write_samples_file(samples: Samples, path: Path) -> None:
    """Write samples.json whole or not at all."""
    values = dataclasses.asdict(samples)
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def read_samples_file(path: Path) -> Samples | None:
    """Return samples.json; None without the file, as in earlier runs.

    Raises:
        ConfigError: It is damaged.
    """
    if not path.exists():
        return None
    try:
        samples: Samples = parsed(path.read_text(encoding="utf-8"), Samples, path.name)
    except (OSError, ValueError) as error:
        raise ConfigError(f"a run's samples must be readable: {path}: {error}") from error
    return samples
