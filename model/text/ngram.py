"""An interpolated n-gram over symbols: scores texts, and gives each next symbol's probability.

Modified Kneser-Ney: below the highest order a gram counts as often as different symbols stand
before it, and three discounts an order, for counts of 1, 2 and more, go to the order below:
p_k(c | h) = (C(hc) - D(C(hc)) + G(h) p_{k-1}(c | h')) / C(h), G(h) = D_1 N_1(h) + D_2 N_2(h) +
D_3 N_3(h), with N_i(h) the number of symbols that were counted i times after h (N_3: three times
or more); p_0 is uniform. A context that was not counted leaves p_{k-1}. Witten-Bell is what
the thresholds of resemblance.py were measured with.

A text has a boundary before it, which is no symbol to predict: no context reaches beyond it.

Shapes: N symbols of a text, G different grams of an order, B texts side by side, V vocabulary.
Sources: Chen & Goodman 1999, "An empirical study of smoothing techniques for language modeling",
sections 2.3 (Witten-Bell, method C) and 3 (modified Kneser-Ney).
"""

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from model.text.grams import UNSEEN, Grams, Level, Smoothing, grams_by_length
from model.text.vocabulary import Symbols

MAX_ORDER = 12
"""An n-gram of order n sees n - 1 symbols of context. The reference's book gains 0.0005 bits from
the last of them, a manual 0.006 (LOG.md)."""
_NO_SYMBOLS = np.empty(0, dtype=np.int64)


class Ngram:
    """A trained n-gram.

    Attributes:
        order: The length of its longest grams, at least 1.
    """

    def __init__(self, levels: list[Level], *, vocabulary_size: int, boundary: int) -> None:
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
        levels: list[Level] = []
        shorter: Grams | None = None
        for grams in itertools.islice(grams_by_length(symbols, vocabulary_size, end), order):
            if shorter is not None:
                levels.append(shorter.level(grams, smoothing))
            shorter = grams
        assert shorter is not None
        levels.append(shorter.level(None, smoothing))
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
            grams = np.concatenate([[UNSEEN], grams[:-1]])
        return probability_N

    def nats(self, passage: Symbols, *, context: Symbols = _NO_SYMBOLS) -> NDArray[np.float64]:
        """Return what each symbol of a passage costs (N,), in nats; see `probabilities`."""
        return -np.log(self.probabilities(passage, context=context))

    def bits(self, passage: Symbols, *, context: Symbols = _NO_SYMBOLS) -> float:
        """Return what a passage costs, in bits in all."""
        return float(self.nats(passage, context=context).sum()) / math.log(2)

    def start(self, context: Symbols) -> NDArray[np.int64]:
        """Return the state (order,) after a context: the gram of each length that it ends in."""
        state = np.full(self.order, UNSEEN)
        state[0] = 0
        for symbol in self._before(context):
            state = self.step(state[:, None], np.array([symbol]))[:, 0]
        return state

    def step(self, states: NDArray[np.int64], symbols: Symbols) -> NDArray[np.int64]:
        """Return the states (order, B) after one more symbol (B,) of each text."""
        after = np.full_like(states, UNSEEN)
        after[0] = 0
        for length, shorter in enumerate(states[:-1], start=1):
            after[length] = self._levels[length - 1].find(shorter, symbols)
            if (after[length] == UNSEEN).all():  # nor are longer ones seen
                break
        return after

    def distribution(self, states: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the next symbol's probabilities (B, V) in each state (order, B)."""
        # One column more, for a boundary that is no symbol: its grams are never counted.
        probability_BV = np.full((states.shape[1], self._size + 1), 1 / self._size)
        for level, contexts_B in zip(self._levels, states, strict=True):
            rows = np.flatnonzero(contexts_B != UNSEEN)
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
    shorter: Grams | None = None
    all_grams = grams_by_length(symbols, vocabulary_size, vocabulary_size, num_learnt=num_learnt)
    for order, grams in enumerate(itertools.islice(all_grams, MAX_ORDER), start=1):
        if shorter is not None:
            level = shorter.level(grams, "kneser-ney")
            below_N = level.weigh(shorter.contexts[held_out], shorter.at[held_out], below_N)
        level = grams.level(None, "kneser-ney")
        probability_N = level.weigh(grams.contexts[held_out], grams.at[held_out], below_N)
        bits = float(-np.log2(probability_N).sum())
        if bits < best_bits:
            best_order, best_bits = order, bits
        shorter = grams
    return best_order
