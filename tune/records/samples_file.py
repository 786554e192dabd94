"""samples.json: what the best checkpoints write, as data; samples.md is the same for people."""

import dataclasses

from model.generation.quality import TextQuality


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
