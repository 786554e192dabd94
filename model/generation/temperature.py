"""At which temperature a network writes most like the book that it has learnt.

It writes passages at each of a few temperatures, side by side; their figures (quality.py) are
compared with those of passages of the book that it has not seen.
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
"""Written at each temperature, all side by side: twenty. Of a network of 512 units that takes
3.5 s of one core, measured and all (LOG.md)."""
MAX_BOOK_PASSAGES = 12
MAX_WINDOW_BOOK_PASSAGES = 2
"""A network of the window regime reads a hundred characters for each that it scores."""
TEMPERATURE_FILE = "temperature.json"
_MAX_FILE_BYTES = 1 << 10
DEFAULT_TEMPERATURE = 0.8
"""Where nobody has measured: what `temperature.least_far` was tried on gave 0.7 or 0.8."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TemperatureSurvey:
    """What a network writes at each temperature, measured.

    Attributes:
        book: The figures of the book's passages, each; bits are what this network spends on them.
        by_temperature: Temperature to the mean figures of what it writes.
        num_passages: Passages at each temperature.
    """

    book: Sequence[TextQuality]
    by_temperature: Mapping[float, TextQuality]
    num_passages: int

    @property
    def distances(self) -> dict[float, float]:
        """Temperature to distance from the book."""
        return {
            temperature: distance(quality, self.book)
            for temperature, quality in self.by_temperature.items()
        }

    @property
    def nearest(self) -> float:
        """The temperature at which the network is nearest to the book."""
        return least_far(self.distances)


def least_far(distances: Mapping[float, float]) -> float:
    """Return the temperature with the smallest distance on a parabola through all of them.

    One by one they scatter too much: of a network of 192 units with four passages each by 0.2 to
    0.4 between six seeds, so that 0.5, 0.7 and 0.8 were each the smallest once or more, where the
    means are 1.47, 1.19 and 1.10. The parabolas had it at 0.7 or 0.8 each time.

    Args:
        distances: Temperature to distance; fewer than three are taken as they are.
    """
    temperatures, values = list(distances), list(distances.values())
    if len(values) > 2:
        values = np.polyval(np.polyfit(temperatures, values, 2), temperatures).tolist()
    return temperatures[int(np.argmin(values))]


def book_passages(held_out: str, config: TrialConfig, num_chars: int) -> list[str]:
    """Return passages of the book for a network to be compared with, cleaned as its text is.

    Args:
        held_out: A raw passage of the book that the network was not trained on.
        config: The network's configuration.
        num_chars: Characters of a passage; a shorter text is one passage.
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
    """Let a network write at each temperature, and measure it and the book.

    A network of the window regime reads a whole window for each character: it writes one passage,
    greedily, as the reference's did. What is held out is a raw passage of the book that it was not
    trained on.
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
    """Return the temperature at which a checkpoint writes if nothing else is asked for.

    Args:
        checkpoint: Its folder.
        config: Its configuration; networks of the window regime are greedy, as the reference's.

    Raises:
        CheckpointError: The file that tells the temperature is damaged.
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
    """Write beside a checkpoint at which temperature it is most like its book."""
    text = json.dumps({"temperature": temperature}) + "\n"
    write_whole(checkpoint / TEMPERATURE_FILE, text.encode())
