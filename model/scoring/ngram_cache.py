"""A cache: n-grams of what a text has said so far, which raise what a model expects.

A text repeats itself: names, phrases. The cache counts the symbols that followed the contexts of
some lengths earlier in the same text, and begins where the model ends:
p_k(c | h) = (C(hc) + s N(h) p_{k-1}(c | h')) / (C(h) + s N(h)), with C the counts so far and N(h)
the number of different symbols that followed h; below its shortest context is the model's own
probability. A context that was not read yet leaves p_{k-1}. That is Witten-Bell's interpolation,
the shorter context's weight times s.

Shapes: N symbols of a passage.
Sources: Kuhn & De Mori 1990, "A cache-based natural language model for speech recognition"; Chen &
Goodman 1999, "An empirical study of smoothing techniques for language modeling", section 2.3.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.text.streams import Symbols

CONTEXT_SYMBOLS = 5_000
"""Symbols before a passage that are counted too. More of them are of the training text, which the
model knows, so that the cache says it twice (LOG.md)."""
NUM_LENGTHS = 9
"""Lengths of the contexts."""
SHORTEST = (1, 2, 4, 6)
STRENGTHS = (10.0, 20.0, 40.0)
"""What is tried. Characters of a book, a play and a manual are best from 4, source from 6, words
from 2; 20 is the best of 2 to 160 in all but one (LOG.md)."""
_LEAST_PROBABILITY = 1e-300

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


class _Level(NamedTuple):
    """What was counted at each symbol (N,), after its context of one length.

    Attributes:
        of_context: Symbols that followed the context.
        of_symbol: How often the one that stands here did.
        different: How many different ones did.
    """

    of_context: Counts
    of_symbol: Counts
    different: Counts


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NgramCache:
    """A cache's settings; what it counts is the text that is read.

    Attributes:
        shortest: Symbols of its shortest context, at least 1; of its longest, NUM_LENGTHS - 1
            more.
        strength: What the shorter context's weight is multiplied by, above 0: how much must be
            repeated to be believed.

    Raises:
        ValueError: A number is out of its range.
    """

    shortest: int
    strength: float

    def __post_init__(self) -> None:
        if not 1 <= self.shortest <= max(SHORTEST):
            raise ValueError(f"shortest must be in 1 to {max(SHORTEST)}, got {self.shortest}")
        if not self.strength > 0:
            raise ValueError(f"strength must be above 0, got {self.strength}")

    @classmethod
    def fit(cls, nats_N: Floats, passage: Symbols, *, context: Symbols) -> "NgramCache":
        """Return the cache with which a model spends least on a passage.

        Args:
            nats_N: What the model spends on each symbol alone.
            passage: Indices (N,), at least one.
            context: The symbols just before it.
        """
        lengths = range(min(SHORTEST), max(SHORTEST) + NUM_LENGTHS)
        levels = dict(zip(lengths, _levels(passage, context, lengths), strict=True))
        tried = [
            cls(shortest=shortest, strength=strength)
            for shortest, strength in itertools.product(SHORTEST, STRENGTHS)
        ]
        return min(
            tried,
            key=lambda cache: float(
                cache._nats(nats_N, [levels[length] for length in cache.lengths]).sum()
            ),
        )

    @property
    def lengths(self) -> range:
        """Symbols of its contexts."""
        return range(self.shortest, self.shortest + NUM_LENGTHS)

    def nats(self, nats_N: Floats, passage: Symbols, *, context: Symbols) -> Floats:
        """Return what each symbol of a passage costs (N,) with the cache.

        Args:
            nats_N: What the model spends on each alone.
            passage: Indices (N,), at least one.
            context: The symbols just before it; the last CONTEXT_SYMBOLS are counted.
        """
        return self._nats(nats_N, _levels(passage, context, self.lengths))

    def _nats(self, nats_N: Floats, levels: Iterable[_Level]) -> Floats:
        probability_N = np.exp(-nats_N).clip(_LEAST_PROBABILITY)
        for level in levels:
            # Where its context was not read, this leaves the probability as it is.
            shorter_N = self.strength * np.maximum(level.different, 1)
            probability_N = (level.of_symbol + shorter_N * probability_N) / (
                level.of_context + shorter_N
            )
        cached_N: Floats = -np.log(probability_N)
        return cached_N


def _levels(passage: Symbols, context: Symbols, lengths: range) -> Iterator[_Level]:
    """Yield what was counted at each symbol of a passage, after contexts of each length."""
    text = np.concatenate([context[-CONTEXT_SYMBOLS:], passage]).astype(np.int64)
    scored = slice(len(text) - len(passage), None)
    size = int(text.max()) + 1
    contexts = np.zeros_like(text)  # numbers: equal where the contexts are
    for length in range(lengths.stop):
        grams = np.unique(contexts * size + text, return_inverse=True)[1]
        if length in lengths:
            ones = np.ones_like(text)
            of_symbol = _sums_before(grams, ones)
            of_context = _sums_before(contexts, ones)
            different = _sums_before(contexts, (of_symbol == 0).astype(np.int64))
            yield _Level(of_context[scored], of_symbol[scored], different[scored])
        # A context that is longer by the symbol before; none at the text's beginning is another's.
        contexts = np.concatenate([[len(text)], grams[:-1]])


def _sums_before(numbers: Counts, values: Counts) -> Counts:
    """Return, at each place, the sum of the values at the earlier places of the same number."""
    order = numbers.argsort(kind="stable")
    firsts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
    first_of_each = np.repeat(firsts, np.diff(firsts, append=len(order)))
    before = np.cumsum(values[order]) - values[order]
    sums = np.empty_like(before)
    sums[order] = before - before[first_of_each]
    return sums
