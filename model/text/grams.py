"""Counts the grams of a text, by their length, and makes an n-gram's probabilities of counts.

Shapes: N symbols of a text, G different grams of an order, B texts side by side, V vocabulary.
Sources: those of ngram.py, which has the formulas.
"""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model.text.vocabulary import Symbols

Smoothing = Literal["kneser-ney", "witten-bell"]
UNSEEN = -1
"""The number of a gram that does not occur."""
_FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)
"""Where counts of counts give none: few grams, or none that was counted once, twice or thrice.
The values are KenLM's `--discount_fallback`."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Level:
    """The probabilities of one order.

    Attributes:
        base: What a context's number is multiplied by in a key.
        keys: Context's number * base + symbol of each gram (G,), sorted. A gram's number is its
            place here, and the context's number its place in the level below.
        kept: What a gram has of its context's counts, discounted (G,).
        passed_on: The share that a context gives to the order below, by its number.
    """

    base: int
    keys: NDArray[np.int64]
    kept: NDArray[np.float64]
    passed_on: NDArray[np.float64]

    def find(self, contexts: NDArray[np.int64], symbols: Symbols) -> NDArray[np.int64]:
        """Return the number of each context's gram with a symbol; UNSEEN where there is none."""
        if len(contexts) == 1:  # most text is one passage: in numbers it takes a third
            key = int(contexts[0]) * self.base + int(symbols[0])
            place = int(self.keys.searchsorted(key))
            is_seen = key >= 0 and place < len(self.keys) and self.keys[place] == key
            return np.array([place if is_seen else UNSEEN])
        wanted = contexts * self.base + symbols
        places = self.keys.searchsorted(wanted)
        places[places == len(self.keys)] = 0
        places[(self.keys[places] != wanted) | (contexts == UNSEEN)] = UNSEEN
        return places

    def weigh(
        self,
        contexts: NDArray[np.int64],
        grams: NDArray[np.int64],
        below: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return probabilities of this order from those of the order below."""
        kept = np.where(grams == UNSEEN, 0.0, self.kept[grams])
        passed_on = np.where(contexts == UNSEEN, 1.0, self.passed_on[contexts])
        weighed: NDArray[np.float64] = kept + passed_on * below
        return weighed

    def weigh_all(
        self, contexts: NDArray[np.int64], rows: NDArray[np.intp], below_BV: NDArray[np.float64]
    ) -> None:
        """Turn the probabilities of all symbols, those of the order below, into this order's.

        Args:
            contexts: The context of some rows, all seen.
            rows: These rows.
            below_BV: The probabilities, a column for the boundary too; they are changed.
        """
        if len(rows) == 1:
            first_key, below_V = int(contexts[0]) * self.base, below_BV[rows[0]]
            start, end = map(self.keys.searchsorted, (first_key, first_key + self.base))
            below_V *= self.passed_on[contexts[0]]
            below_V[self.keys[start:end] - first_key] += self.kept[start:end]
            return
        first_keys = contexts * self.base
        starts = self.keys.searchsorted(first_keys)
        counts = self.keys.searchsorted(first_keys + self.base) - starts
        below_BV[rows] *= self.passed_on[contexts][:, None]
        ends = counts.cumsum()  # of the grams of all contexts, one after the other
        grams = (starts - ends + counts).repeat(counts) + np.arange(ends[-1])
        symbols = self.keys[grams] - first_keys.repeat(counts)
        below_BV[rows.repeat(counts), symbols] += self.kept[grams]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Grams:
    """The grams of one length in a text.

    Attributes:
        base: See Level.
        keys: See Level; of grams that reach beyond a boundary, too, which are not counted.
        at: The number of the gram that ends at each position (N + 1,).
        contexts: The number of the context before each position.
        num_contexts: Grams that are shorter by one.
        counted: The positions whose gram is counted.
        begins: Of these, those whose gram begins with a boundary.
    """

    base: int
    keys: NDArray[np.int64]
    at: NDArray[np.int64]
    contexts: NDArray[np.int64]
    num_contexts: int
    counted: NDArray[np.intp]
    begins: NDArray[np.intp]

    def level(self, longer: "Grams | None", smoothing: Smoothing) -> Level:
        """Return the level; the longer grams are longer by one, None at the highest order."""
        contexts = self.keys // self.base
        num_contexts = self.num_contexts
        if smoothing == "witten-bell":
            counts = np.bincount(self.at[self.counted], minlength=len(self.keys))
            totals = np.bincount(contexts, weights=counts, minlength=num_contexts)
            given = np.bincount(contexts[counts > 0], minlength=num_contexts)
            totals += given
            discounts = np.zeros(len(counts))
        else:
            counts = self._kneser_ney_counts(longer)
            discounts = _discounts(counts)[np.minimum(counts, 3)]
            totals = np.bincount(contexts, weights=counts, minlength=num_contexts)
            given = np.bincount(contexts, weights=discounts, minlength=num_contexts)
        passed_on = np.where(totals > 0, given / np.maximum(totals, 1), 1.0)
        kept = (counts - discounts) / np.maximum(totals, 1)[contexts]
        return Level(self.base, self.keys, kept, passed_on)

    def _kneser_ney_counts(self, longer: "Grams | None") -> NDArray[np.int64]:
        """Return how often each gram occurs, or how many different symbols stand before it."""
        if longer is None:
            return np.bincount(self.at[self.counted], minlength=len(self.keys))
        # Any one place of each longer gram: their ends are what different symbols stand before.
        place = np.full(len(longer.keys), UNSEEN)
        place[longer.at[longer.counted]] = longer.counted
        counts = np.bincount(self.at[place[place != UNSEEN]], minlength=len(self.keys))
        # Nothing stands before a boundary.
        return counts + np.bincount(self.at[self.begins], minlength=len(self.keys))


def _discounts(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the discounts of counts 0, 1, 2 and more."""
    one, two, three, four = (np.count_nonzero(counts == count) for count in range(1, 5))
    if one and two and three:
        share = one / (one + 2 * two)
        first, second = 1 - 2 * share * two / one, 2 - 3 * share * three / two
        third = 3 - 4 * share * four / three
        if min(first, second, third) > 0:
            return np.array([0.0, first, second, third])
    return np.array([0.0, *_FALLBACK_DISCOUNTS])


def grams_by_length(
    symbols: Symbols, vocabulary_size: int, boundary: int, *, num_learnt: int | None = None
) -> Iterator[Grams]:
    """Yield the grams of a text by their length, without end.

    Args:
        symbols: Indices (N,).
        vocabulary_size: V.
        boundary: See Ngram.fit.
        num_learnt: The first symbols, which are counted; None is all.
    """
    text = np.concatenate([[boundary], symbols]).astype(np.int64)
    positions = np.arange(len(text))
    learnt = positions[1 : None if num_learnt is None else num_learnt + 1]
    last_boundary = np.maximum.accumulate(np.where(text == boundary, positions, 0))
    # The longest context of each position, its boundary among it.
    reach = learnt - last_boundary[learnt - 1]
    base = vocabulary_size + 1
    contexts, num_contexts = np.zeros(len(text), dtype=np.int64), 1
    for length in itertools.count(1):
        keys, at = _numbered(contexts * base + text)
        begins = learnt[reach == length - 1] if length > 1 else learnt[:0]
        counted = learnt[reach >= length - 1]
        yield Grams(base, keys, at, contexts, num_contexts, counted, begins)
        contexts, num_contexts = np.concatenate([[0], at[:-1]]), len(keys)


def _numbered(values: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return np.unique with its inverse.

    Values and positions are sorted as one number: numpy sorts numbers four times as fast as it
    finds their order (LOG.md).
    """
    num_bits = len(values).bit_length()
    if int(values.max()).bit_length() + num_bits > 63:
        return np.unique(values, return_inverse=True)
    both = np.sort((values << num_bits) | np.arange(len(values)))
    sorted_values = both >> num_bits
    is_first = np.concatenate([[True], sorted_values[1:] != sorted_values[:-1]])
    at = np.empty(len(values), dtype=np.int64)
    at[both & ((1 << num_bits) - 1)] = np.cumsum(is_first) - 1
    return sorted_values[is_first], at
