"""An interpolated n-gram over symbols: scores texts, and gives each next symbol's probability.

Modified Kneser-Ney: below the highest order a gram counts as often as different symbols stand
before it, and three discounts an order, for counts of 1, 2 and more, go to the order below:
p_k(c | h) = (C(hc) - D(C(hc)) + G(h) p_{k-1}(c | h')) / C(h), G(h) = D_1 N_1(h) + D_2 N_2(h) +
D_3 N_3(h), with N_i(h) the number of symbols that were counted i times after h (N_3: three times
or more); p_0 is uniform. A context that was not counted leaves p_{k-1}. Witten-Bell is what an
earlier version had: its checkpoints of words are spelled by it still.

A text has a boundary before it, which is no symbol to predict: no context reaches beyond it.

Shapes: N symbols of a text, G different grams of an order, B texts side by side, V vocabulary.
Sources: Chen & Goodman 1999, "An empirical study of smoothing techniques for language modeling",
sections 2.3 (Witten-Bell, method C) and 3 (modified Kneser-Ney).
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Symbols = NDArray[np.integer[Any]]
"""Indices of symbols."""
Smoothing = Literal["kneser-ney", "witten-bell"]
MAX_ORDER = 12
"""An n-gram of order n sees n - 1 symbols of context. The reference's book gains 0.0005 bits from
the last of them, a manual 0.006 (LOG.md)."""
_FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)
"""Where counts of counts give none: few grams, or none that was counted once, twice or thrice.
The values are KenLM's `--discount_fallback`."""
_UNSEEN = -1
_NO_SYMBOLS = np.empty(0, dtype=np.int64)


class Ngram:
    """A trained n-gram.

    Attributes:
        order: The length of its longest grams, at least 1.
    """

    def __init__(self, levels: "list[_Level]", *, vocabulary_size: int, boundary: int) -> None:
        """Take the levels of `fit`, shortest grams first."""
        self._size = vocabulary_size
        self.order = len(levels)
        self._boundary = boundary
        self._levels = levels

    @classmethod
    def fit(
        cls,
        symbols: Symbols,
        *,
        vocabulary_size: int,
        order: int,
        boundary: int | None = None,
        smoothing: Smoothing = "kneser-ney",
    ) -> "Ngram":
        """Train an n-gram.

        Args:
            symbols: Indices (N,) of the training text, which a boundary is put before.
            vocabulary_size: V.
            order: The length of the longest grams, at least 1.
            boundary: A symbol that ends texts and stands before the next; None is a symbol
                beyond the vocabulary, before the first text only.
            smoothing: What unseen symbols have.
        """
        end = vocabulary_size if boundary is None else boundary
        levels: list[_Level] = []
        shorter: _Grams | None = None
        for grams in itertools.islice(_grams(symbols, vocabulary_size, end), order):
            if shorter is not None:
                levels.append(shorter.level(grams, order, smoothing))
            shorter = grams
        assert shorter is not None
        levels.append(shorter.level(None, order, smoothing))
        return cls(levels, vocabulary_size=vocabulary_size, boundary=end)

    def probabilities(
        self, passage: Symbols, *, context: Symbols = _NO_SYMBOLS
    ) -> NDArray[np.float64]:
        """Return the probability (N,) of each symbol of a passage after those before it.

        Args:
            passage: Indices (N,).
            context: The symbols just before it; fewer than the order less one begin a text.
        """
        before = self._before(context)
        text = np.concatenate([before, passage]).astype(np.int64)
        probability_N = np.full(len(passage), 1.0 / self._size)
        grams, scored = np.zeros(len(text), dtype=np.int64), slice(len(before), None)
        for level in self._levels:
            contexts = grams
            grams = level.find(contexts, text)
            probability_N = level.weigh(contexts[scored], grams[scored], probability_N)
            grams = np.concatenate([[_UNSEEN], grams[:-1]])
        return probability_N

    def nats(self, passage: Symbols, *, context: Symbols = _NO_SYMBOLS) -> NDArray[np.float64]:
        """Return what each symbol of a passage costs (N,), in nats; see `probabilities`."""
        return -np.log(self.probabilities(passage, context=context))

    def bits(self, passage: Symbols, *, context: Symbols = _NO_SYMBOLS) -> float:
        """Return what a passage costs, in bits in all."""
        return float(self.nats(passage, context=context).sum()) / math.log(2)

    def start(self, context: Symbols) -> NDArray[np.int64]:
        """Return the state (order,) after a context: the gram of each length that it ends in."""
        state = np.full(self.order, _UNSEEN)
        state[0] = 0
        for symbol in self._before(context):
            state = self.step(state[:, None], np.array([symbol]))[:, 0]
        return state

    def step(self, states: NDArray[np.int64], symbols: Symbols) -> NDArray[np.int64]:
        """Return the states (order, B) after one more symbol (B,) of each text."""
        after = np.full_like(states, _UNSEEN)
        after[0] = 0
        for length, shorter in enumerate(states[:-1], start=1):
            after[length] = self._levels[length - 1].find(shorter, symbols)
            if (after[length] == _UNSEEN).all():  # nor are longer ones seen
                break
        return after

    def distribution(self, states: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the next symbol's probabilities (B, V) in each state (order, B)."""
        # One column more, for a boundary that is no symbol: its grams are never counted.
        probability_BV = np.full((states.shape[1], self._size + 1), 1 / self._size)
        for level, contexts_B in zip(self._levels, states, strict=True):
            rows = np.flatnonzero(contexts_B != _UNSEEN)
            if not len(rows):  # nor are longer ones seen
                break
            level.weigh_all(contexts_B[rows], rows, probability_BV)
        return probability_BV[:, :-1]

    def _before(self, context: Symbols) -> Symbols:
        if len(context) < self.order - 1:
            return np.concatenate([[self._boundary], context])
        return context[len(context) - self.order + 1 :]


def choose_order(symbols: Symbols, *, vocabulary_size: int) -> int:
    """Return the order that is best on the last tenth of a text, learnt from the rest of it.

    Args:
        symbols: Indices (N,), at least one.
        vocabulary_size: V.
    """
    num_learnt = len(symbols) - len(symbols) // 10
    held_out = slice(1 + num_learnt, None)  # after the boundary
    below_N = np.full(len(symbols) - num_learnt, 1.0 / vocabulary_size)
    best_order, best_bits = 1, np.inf
    shorter: _Grams | None = None
    all_grams = _grams(symbols, vocabulary_size, vocabulary_size, num_learnt=num_learnt)
    for order, grams in enumerate(itertools.islice(all_grams, MAX_ORDER), start=1):
        if shorter is not None:
            level = shorter.level(grams, order, "kneser-ney")
            below_N = level.weigh(shorter.contexts[held_out], shorter.at[held_out], below_N)
        level = grams.level(None, order, "kneser-ney")
        probability_N = level.weigh(grams.contexts[held_out], grams.at[held_out], below_N)
        bits = float(-np.log2(probability_N).sum())
        if bits < best_bits:
            best_order, best_bits = order, bits
        shorter = grams
    return best_order


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Level:
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
        """Return the number of each context's gram with a symbol; _UNSEEN where there is none."""
        wanted = contexts * self.base + symbols
        places = self.keys.searchsorted(wanted)
        places[places == len(self.keys)] = 0
        places[(self.keys[places] != wanted) | (contexts == _UNSEEN)] = _UNSEEN
        return places

    def weigh(
        self,
        contexts: NDArray[np.int64],
        grams: NDArray[np.int64],
        below: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return probabilities of this order from those of the order below."""
        kept = np.where(grams == _UNSEEN, 0.0, self.kept[grams])
        passed_on = np.where(contexts == _UNSEEN, 1.0, self.passed_on[contexts])
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
        first_keys = contexts * self.base
        starts = self.keys.searchsorted(first_keys)
        counts = self.keys.searchsorted(first_keys + self.base) - starts
        if len(rows) == 1:  # most text is one passage
            of_row = slice(starts[0], starts[0] + counts[0])
            below_BV[rows[0]] *= self.passed_on[contexts[0]]
            below_BV[rows[0], self.keys[of_row] - first_keys[0]] += self.kept[of_row]
            return
        below_BV[rows] *= self.passed_on[contexts][:, None]
        ends = counts.cumsum()  # of the grams of all contexts, one after the other
        grams = (starts - ends + counts).repeat(counts) + np.arange(ends[-1])
        symbols = self.keys[grams] - first_keys.repeat(counts)
        below_BV[rows.repeat(counts), symbols] += self.kept[grams]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Grams:
    """The grams of one length in a text.

    Attributes:
        length: Their length.
        base: See _Level.
        keys: See _Level; of grams that reach beyond a boundary, too, which are not counted.
        at: The number of the gram that ends at each position (N + 1,).
        contexts: The number of the context before each position.
        num_contexts: Grams that are shorter by one.
        counted: The positions whose gram is counted.
        begins: Of these, those whose gram begins with a boundary.
    """

    length: int
    base: int
    keys: NDArray[np.int64]
    at: NDArray[np.int64]
    contexts: NDArray[np.int64]
    num_contexts: int
    counted: NDArray[np.intp]
    begins: NDArray[np.intp]

    def level(self, longer: "_Grams | None", order: int, smoothing: Smoothing) -> _Level:
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
        if smoothing == "witten-bell" and self.length > 1:
            # It had as many boundaries before a text as its contexts were long.
            times = np.ones(num_contexts)
            times[self.contexts[self.begins]] = order - self.length + 1
            often = passed_on**times
            kept *= ((1 - often) / np.where(passed_on < 1, 1 - passed_on, 1.0))[contexts]
            passed_on = often
        return _Level(self.base, self.keys, kept, passed_on)

    def _kneser_ney_counts(self, longer: "_Grams | None") -> NDArray[np.int64]:
        """Return how often each gram occurs, or how many different symbols stand before it."""
        if longer is None:
            return np.bincount(self.at[self.counted], minlength=len(self.keys))
        # Any one place of each longer gram: their ends are what different symbols stand before.
        place = np.full(len(longer.keys), _UNSEEN)
        place[longer.at[longer.counted]] = longer.counted
        counts = np.bincount(self.at[place[place != _UNSEEN]], minlength=len(self.keys))
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


def _grams(
    symbols: Symbols, vocabulary_size: int, boundary: int, *, num_learnt: int | None = None
) -> Iterator[_Grams]:
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
        yield _Grams(length, base, keys, at, contexts, num_contexts, counted, begins)
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
