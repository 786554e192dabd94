"""samples.json: the best checkpoints' text as data; samples.md shows the same."""

import dataclasses

from model.generation.quality import TextQuality


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """What one checkpoint wrote.

    Attributes:
        caption: Its score and its network.
        how: The sampling options.
        text: The passage, including its prime.
        quality: Its figures, without the prime.
        book: Mean figures of held-out passages of the book of the same length; None if the book is
            not available.
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
