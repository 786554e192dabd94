"""The temperature at which a network's text is most like the book that it has learnt.

It writes passages at each of a few temperatures, in parallel. Their figures (quality.py) are
compared with those of passages of the book that the network has not seen.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from model.config import TrialConfig
from model.errors import CheckpointError
from model.generation.decoding import SamplingOptions, write_passages
from model.generation.own_bits import own_bits_per_char
from model.generation.quality import (
    PASSAGE_CHARS,
    Measure,
    TextQuality,
    distance,
    mean_quality,
    pieces,
)
from model.network.base import Network
from model.system.files import read_regular, readable_folder, write_whole
from model.system.json_schema import parsed
from model.text.cleaning import clean
from model.text.streams import AnyVocabulary

TEMPERATURES = (0.5, 0.7, 0.8, 0.9, 1.0)
PASSAGES = 4
"""Passages per temperature, all in parallel: twenty in total. A network of 512 units takes 3.5 s
of one core, measuring included (LOG.md)."""
MAX_BOOK_PASSAGES = 12
MAX_WINDOW_BOOK_PASSAGES = 2
"""A network of the window regime reads a hundred characters for each one that it scores."""
TEMPERATURE_FILE = "temperature.json"
_MAX_FILE_BYTES = 1 << 10
DEFAULT_TEMPERATURE = 0.8
"""Used if nothing was measured: `temperature.least_far` gave 0.7 or 0.8 where it was tried."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TemperatureSurvey:
    """The figures of what a network writes at each temperature.

    Attributes:
        book: The figures of each of the book's passages; the bits are their cost under this
            network.
        by_temperature: Maps a temperature to the mean figures of the text written at it.
        num_passages: Passages per temperature.
    """

    book: Sequence[TextQuality]
    by_temperature: Mapping[float, TextQuality]
    num_passages: int

    @property
    def distances(self) -> dict[float, float]:
        """Maps a temperature to its distance from the book."""
        return {
            temperature: distance(quality, self.book)
            for temperature, quality in self.by_temperature.items()
        }

    @property
    def nearest(self) -> float:
        """The temperature at which the network's text is nearest to the book."""
        return least_far(self.distances)


def least_far(distances: Mapping[float, float]) -> float:
    """Return the temperature with the smallest distance on a parabola fitted to all of them.

    The distances themselves are too noisy. With four passages per temperature of a network of 192
    units, they varied by 0.2 to 0.4 between six seeds: each of 0.5, 0.7 and 0.8 was the smallest
    at least once, with means of 1.47, 1.19 and 1.10. The parabolas gave 0.7 or 0.8 every time.

    Args:
        distances: Maps temperatures to distances; fewer than three are used without a fit.
    """
    temperatures, values = list(distances), list(distances.values())
    if len(values) > 2:
        values = np.polyval(np.polyfit(temperatures, values, 2), temperatures).tolist()
    return temperatures[int(np.argmin(values))]


def book_passages(held_out: str, config: TrialConfig, num_chars: int) -> list[str]:
    """Return passages of the book to compare a network's text with, cleaned as its text is.

    Args:
        held_out: A raw passage of the book that the network was not trained on.
        config: The network's configuration.
        num_chars: Characters per passage; a shorter text is one passage.
    """
    most = MAX_BOOK_PASSAGES if config.regime == "stream" else MAX_WINDOW_BOOK_PASSAGES
    return pieces(clean(held_out, config.cleaning), num_chars, most)


def survey_temperatures(
    model: Network,
    vocabulary: AnyVocabulary,
    config: TrialConfig,
    measure: Measure,
    held_out: str,
) -> TemperatureSurvey:
    """Let a network write at each temperature, and measure its text and the book.

    A network of the window regime reads a whole window per character, so it writes one passage,
    greedily, as the reference's did. `held_out` is a raw passage of the book on which the network
    was not trained.
    """
    of_book = book_passages(held_out, config, PASSAGE_CHARS)
    num_chars = len(of_book[0])
    grid, num_passages = (TEMPERATURES, PASSAGES) if config.regime == "stream" else ((0.0,), 1)
    temperatures = [temperature for temperature in grid for _ in range(num_passages)]
    written = write_passages(
        model,
        vocabulary,
        prime="",
        cleaning=config.cleaning,
        num_chars=num_chars,
        num_passages=len(temperatures),
        options=SamplingOptions(temperature=grid[0]),
        temperatures=temperatures if all(grid) else None,
        seed=0,
    )
    bits = own_bits_per_char(
        model, vocabulary, [*written, *of_book], prime="", cleaning=config.cleaning
    )
    measured = [
        measure(text, own_bits_per_char=of_text)
        for text, of_text in zip([*written, *of_book], bits, strict=True)
    ]
    return TemperatureSurvey(
        book=measured[len(written) :],
        by_temperature={
            temperature: mean_quality(
                measured[number * num_passages : (number + 1) * num_passages]
            )
            for number, temperature in enumerate(grid)
        },
        num_passages=num_passages,
    )


def default_temperature(checkpoint: Path, config: TrialConfig) -> float:
    """Return the temperature at which a checkpoint writes by default.

    Args:
        checkpoint: Its folder.
        config: Its configuration; networks of the window regime are greedy, like the reference's.

    Raises:
        CheckpointError: The file that holds the temperature is damaged.
    """
    file = readable_folder(checkpoint) / TEMPERATURE_FILE
    if not file.exists():
        return DEFAULT_TEMPERATURE if config.regime == "stream" else 0.0
    try:
        text = read_regular(file, max_bytes=_MAX_FILE_BYTES).decode()
        temperature: float = parsed(text, dict[str, float], file.name)["temperature"]
        SamplingOptions(temperature=temperature)
        return temperature
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"damaged checkpoint {checkpoint}: {TEMPERATURE_FILE}") from error


def write_temperature(checkpoint: Path, temperature: float) -> None:
    """Write, into a checkpoint's folder, the temperature at which it is most like its book."""
    text = json.dumps({"temperature": temperature}) + "\n"
    write_whole(checkpoint / TEMPERATURE_FILE, text.encode())
