"""Does the validation passage resemble the training part? If it does not, scores mislead.

A small character n-gram learns the beginning of each of several parts of the training text. It
then scores pieces of the same parts that it has not learnt, and pieces of the validation passage.
It reads so little that it takes a few percent of the floor's time.
"""

import dataclasses

import numpy as np

from model.text.ngram import Ngram
from model.text.streams import EncodedCorpus
from model.text.vocabulary import Symbols

MIN_CHARS = 16_000
"""A shorter training part leaves pieces of fewer than 50 characters, which say little."""
_MAX_CHARS = 2_000_000
"""For a longer training part, the n-gram learns no more than for one of this length."""
_ORDER = 4
_PARTS = 8
_LEARNT, _HELD_BACK = 8, 40
"""One in this many characters of a part. Orders 3 and 4 and 4, 8 and 16 parts were tried
(LOG.md)."""
_MOST_RATIO = 1.3
"""Of 375 slices of five homogeneous texts, 2 had a higher ratio and 99 % at most 1.21. Texts that
switch to another language, a manual or upper case at the validation passage had 1.42 to 8.4
(LOG.md)."""
_LEAST_BITS = 0.1
"""A smaller difference is ignored, however few bits the training part costs."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Resemblance:
    """The cost, under one n-gram, of two texts that it has not learnt, in bits per character.

    Attributes:
        validation_bits_per_char: For the validation passage.
        training_bits_per_char: For the most costly of several held-back pieces of the training
            part.
    """

    validation_bits_per_char: float
    training_bits_per_char: float

    @property
    def warning(self) -> str:
        """The warning for the reader if the two differ; empty if they do not."""
        here, there = self.validation_bits_per_char, self.training_bits_per_char
        if here < max(_MOST_RATIO * there, there + _LEAST_BITS):
            return ""
        return (
            f"the validation passage does not resemble the training part: it costs an n-gram "
            f"{here:.2f} bits per character, and pieces of the training part that it has not "
            f"learnt at most {there:.2f}. The network with the best score there need not be the "
            f"best; mix the kinds of text, because the last fifth is held out"
        )


def resemblance(corpus: EncodedCorpus) -> Resemblance | None:
    """Compare the validation passage with the training part; None for a short text.

    Args:
        corpus: The raw text in characters.
    """
    train, validation = corpus.train.symbols, corpus.validation.symbols
    num_chars = min(len(train), _MAX_CHARS)
    if num_chars < MIN_CHARS:
        return None
    parts = np.array_split(train, _PARTS)
    learnt = np.concatenate([part[: num_chars // _PARTS // _LEARNT] for part in parts])
    length = num_chars // _PARTS // _HELD_BACK
    held_back = [_middle(part, length) for part in parts]
    # All pieces in one passage: scoring each by itself would cost as much again.
    judged = np.concatenate([_middle(part, length) for part in np.array_split(validation, _PARTS)])
    ngram = Ngram.fit(
        learnt,
        vocabulary_size=len(corpus.vocabulary),
        order=_ORDER,
        smoothing="witten-bell",  # the thresholds were measured with it
    )
    return Resemblance(
        validation_bits_per_char=ngram.bits(judged, context=train) / len(judged),
        training_bits_per_char=max(ngram.bits(piece, context=train) for piece in held_back)
        / length,
    )


def _middle(part: Symbols, length: int) -> Symbols:
    start = len(part) // 2
    return part[start : start + length]
