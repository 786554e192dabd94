"""From raw text to encoded streams: split by position, clean, number.

The raw text is split before it is cleaned, so every trial is judged on the same passages,
whatever its cleaning.
"""

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from model.cleaning import clean
from model.errors import CorpusError
from model.vocabulary import Vocabulary

MIN_CORPUS_CHARS = 1_000
"""A shorter corpus leaves a validation passage too small to judge anything."""

MIN_KEPT_FRACTION = 0.5
"""A cleaning that keeps less of a text than this is refused for it."""

IGNORED = -100
"""The target of a position that is not scored: the padding of the last column."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RawSplit:
    """A raw text in its three parts, in order: 80 %, 10 % and 10 % of its characters."""

    train: str
    validation: str
    test: str


def split_text(text: str) -> RawSplit:
    """Split a raw text by position.

    Raises:
        CorpusError: The text has fewer than MIN_CORPUS_CHARS characters.
    """
    if len(text) < MIN_CORPUS_CHARS:
        raise CorpusError(
            f"a corpus must have at least {MIN_CORPUS_CHARS:,} characters, got {len(text):,}"
        )
    train_end, validation_end = len(text) * 8 // 10, len(text) * 9 // 10
    return RawSplit(
        train=text[:train_end],
        validation=text[train_end:validation_end],
        test=text[validation_end:],
    )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EncodedCorpus:
    """One cleaning of a corpus, encoded, with the price of what the cleaning dropped.

    Attributes:
        cleaning: Name of the cleaning.
        vocabulary: The symbols of the whole cleaned text.
        train: Indices of the cleaned training part, int32.
        validation: Indices of the cleaned validation passage, int32.
        test: Indices of the cleaned test passage, int32.
        num_raw_validation_chars: Raw characters of the validation passage.
        restoration_bits_per_char: Price of restoring the raw validation passage from the
            cleaned one, in bits per raw character, at least 0.
    """

    cleaning: str
    vocabulary: Vocabulary
    train: NDArray[np.int32]
    validation: NDArray[np.int32]
    test: NDArray[np.int32]
    num_raw_validation_chars: int
    restoration_bits_per_char: float = 0.0

    @property
    def num_chars(self) -> int:
        """Characters of the whole cleaned text."""
        return len(self.train) + len(self.validation) + len(self.test)


def encode_corpus(split: RawSplit, cleaning: str) -> EncodedCorpus:
    """Clean and encode the parts of a split text; the restoration price is left at 0.

    Raises:
        CorpusError: The cleaning is unknown or keeps less than half of the text.
    """
    cleaned_parts = [clean(part, cleaning) for part in (split.train, split.validation, split.test)]
    cleaned = "".join(cleaned_parts)
    num_raw_chars = len(split.train) + len(split.validation) + len(split.test)
    if len(cleaned) < MIN_KEPT_FRACTION * num_raw_chars or not all(cleaned_parts):
        raise CorpusError(
            f"a cleaning must keep at least half of the text and something of each part: "
            f"{cleaning!r} keeps {len(cleaned):,} of {num_raw_chars:,} characters"
        )
    vocabulary = Vocabulary.of(cleaned)
    train, validation, test = (vocabulary.encode(part).astype(np.int32) for part in cleaned_parts)
    return EncodedCorpus(
        cleaning=cleaning,
        vocabulary=vocabulary,
        train=train,
        validation=validation,
        test=test,
        num_raw_validation_chars=len(split.validation),
    )


def columns(
    text: NDArray[np.int32], batch_size: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Cut a text into columns: inputs and targets, each (T, B), every target exactly once.

    Where the text does not fill the last column, its targets are IGNORED.

    >>> inputs_TB, targets_TB = columns(np.arange(6, dtype=np.int32), 2)
    >>> targets_TB.T.tolist()
    [[1, 2, 3], [4, 5, -100]]
    """
    num_steps = math.ceil((len(text) - 1) / batch_size)
    padding = num_steps * batch_size - (len(text) - 1)
    inputs = np.pad(text[:-1], (0, padding))
    targets = np.pad(text[1:].astype(np.int64), (0, padding), constant_values=IGNORED)
    shape = (batch_size, num_steps)
    return (
        np.ascontiguousarray(inputs.reshape(shape).T),
        np.ascontiguousarray(targets.reshape(shape).T),
    )
