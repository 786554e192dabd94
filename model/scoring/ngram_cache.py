"""A cache: n-grams of the text read so far, which raise the probability of what recurs.

A text repeats itself: names, phrases. The cache counts the symbols that followed the contexts of
certain lengths earlier in the same text, and falls back to the model's prediction:
p_k(c | h) = (C(hc) + w N(h) p_{k-1}(c | h')) / (C(h) + w N(h)), where C is the counts so far and
N(h) the number of distinct symbols that followed h. Below the shortest context stands the model's
own probability. A context that has not been seen leaves p_{k-1} unchanged. This is Witten-Bell
interpolation with the escape to the shorter context weighted w times as much.

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

from model.text.vocabulary import Symbols

CONTEXT_SYMBOLS = 2_000
"""Symbols before a passage that are counted too; more helps on no validation passage (LOG.md)."""
MAX_LENGTH, MAX_ESCAPE_WEIGHT = 32, 1_000.0
_SHORTEST, _NUM_LENGTHS, _ESCAPE_WEIGHTS = (1, 2, 4, 6), 9, (10.0, 20.0, 40.0)
"""The settings that are tried. Lengths from 4 are best for characters of a book, a play and a
manual, from 6 for source code, from 2 for words; a weight of 20 is the best of 2 to 160 in all but
one case (LOG.md)."""
_LEAST_PROBABILITY = 1e-200

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


class _Level(NamedTuple):
    """The counts at each symbol (N,) after its context of one length.

    Attributes:
        of_context: Number of symbols that followed the context.
        of_symbol: How often the symbol at this position followed it.
        different: Number of distinct symbols that followed it.
    """

    of_context: Counts
    of_symbol: Counts
    different: Counts


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NgramCache:
    """A cache's settings; the counts are made from the text that is read.

    Attributes:
        shortest: Symbols of its shortest context, at least 1.
        longest: Symbols of its longest context, at most MAX_LENGTH.
        escape_weight: Multiplier of the shorter context's weight, above 0 and at most
            MAX_ESCAPE_WEIGHT: a larger one needs more repetitions before the cache dominates.

    Raises:
        ValueError: A number is out of its range.
    """

    shortest: int
    longest: int
    escape_weight: float

    def __post_init__(self) -> None:
        if not 1 <= self.shortest <= self.longest <= MAX_LENGTH:
            raise ValueError(
                f"a cache's contexts must have 1 to {MAX_LENGTH} symbols, got {self.shortest} to "
                f"{self.longest}"
            )
        if not 0 < self.escape_weight <= MAX_ESCAPE_WEIGHT:
            raise ValueError(
                f"escape_weight must be above 0 and at most {MAX_ESCAPE_WEIGHT:g}, got "
                f"{self.escape_weight}"
            )

    def __str__(self) -> str:
        return (
            f"contexts of {self.shortest} to {self.longest} symbols, escape weight "
            f"{self.escape_weight:g}"
        )

    @classmethod
    def fit(
        cls, nats_N: Floats, passage: Symbols, *, context: Symbols
    ) -> tuple["NgramCache", Floats]:
        """Return the cache with which a model's cost of a passage is lowest, and that cost.

        Args:
            nats_N: The model's cost of each symbol, without a cache.
            passage: Indices (N,), at least one.
            context: The symbols just before it.
        """
        levels = [*_levels(passage, context, max(_SHORTEST) + _NUM_LENGTHS - 1)]
        tried = [
            cls(shortest=shortest, longest=shortest + _NUM_LENGTHS - 1, escape_weight=weight)
            for shortest, weight in itertools.product(_SHORTEST, _ESCAPE_WEIGHTS)
        ]
        cached = [(cache, cache._nats(nats_N, levels)) for cache in tried]
        return min(cached, key=lambda each: float(each[1].sum()))

    def nats(self, nats_N: Floats, passage: Symbols, *, context: Symbols) -> Floats:
        """Return the cost of each symbol of a passage (N,) with the cache.

        Args:
            nats_N: The model's cost of each symbol, without a cache.
            passage: Indices (N,), at least one.
            context: The symbols just before it; the last CONTEXT_SYMBOLS are counted.
        """
        return self._nats(nats_N, _levels(passage, context, self.longest))

    def _nats(self, nats_N: Floats, levels: Iterable[_Level]) -> Floats:
        """Return the same from the counts after contexts of 1 symbol, 2 symbols and so on."""
        probability_N = np.exp(-nats_N)
        for level in itertools.islice(levels, self.shortest - 1, self.longest):
            # Where the context has not been seen, this leaves the probability unchanged.
            shorter_N = self.escape_weight * np.maximum(level.different, 1)
            probability_N = (level.of_symbol + shorter_N * probability_N) / (
                level.of_context + shorter_N
            )
        cached_N: Floats = -np.log(probability_N.clip(_LEAST_PROBABILITY))
        return cached_N


def _levels(passage: Symbols, context: Symbols, longest: int) -> Iterator[_Level]:
    """Yield the counts at each symbol of a passage, after contexts of 1 to `longest` symbols."""
    text = np.concatenate([context[-CONTEXT_SYMBOLS:], passage]).astype(np.int64)
    scored = slice(len(text) - len(passage), None)
    size = int(text.max()) + 1
    ones, grams = np.ones_like(text), text
    for _ in range(longest):
        # Equal contexts get equal numbers: that of the gram that ends before the symbol. The
        # first symbol of the text has no context, so its number is unique.
        contexts = np.concatenate([[grams.max() + 1], grams[:-1]])
        grams = np.unique(contexts * size + text, return_inverse=True)[1]
        (of_symbol,) = _sums_before(grams, ones)
        of_context, different = _sums_before(contexts, ones, (of_symbol == 0).astype(np.int64))
        yield _Level(of_context[scored], of_symbol[scored], different[scored])


def _sums_before(numbers: Counts, *values: Counts) -> list[Counts]:
    """Return, at each position, the sums of the values at earlier positions of equal number."""
    order = numbers.argsort(kind="stable")
    firsts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
    first_of_each = np.repeat(firsts, np.diff(firsts, append=len(order)))
    sums = [np.empty_like(value) for value in values]
    for value, into in zip(values, sums, strict=True):
        before = np.cumsum(value[order]) - value[order]
        into[order] = before - before[first_of_each]
    return sums
