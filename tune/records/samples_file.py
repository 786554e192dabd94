"""samples.json: what the best checkpoints write, as data; samples.md is the same for people."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from model.errors import ConfigError
from model.generation.quality import FIGURES, TextQuality
from model.system.files import write_text


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
        values = json.loads(path.read_text(encoding="utf-8"))
        return Samples(
            passages=tuple(_passage(each) for each in values["passages"]),
            at_temperatures=tuple(
                (float(temperature), str(text)) for temperature, text in values["at_temperatures"]
            ),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(f"a run's samples must be readable: {path}: {error!r}") from error


def _passage(values: Any) -> Passage:
    texts = {name: str(values[name]) for name in ("caption", "how", "text")}
    book = values["book"]
    return Passage(
        **texts,
        quality=_quality(values["quality"]),
        book=None if book is None else _quality(book),
    )


def _quality(values: Any) -> TextQuality:
    known = {name: values[name] for name in FIGURES}
    return TextQuality(
        **{name: None if value is None else float(value) for name, value in known.items()}
    )
