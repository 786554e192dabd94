"""Spells words that are no symbols of their own: a character n-gram over words.

It gives every string a probability, so a word-level model can be judged on any text. A word is
preceded by the mark and ended by it, and is at least one character long. The words that it learns
from count once each: a new word is like a word of the vocabulary's edge, not like the commonest.

Shapes: M words.
"""

import functools
import itertools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from model.errors import ConfigError
from model.text.ngram import Ngram

ORDER = 7
"""Of the n-gram. On the book and a manual, rare words below 2, 3 and 5, cased and lower, 7 is best
or within 0.003 bits per character of the best (LOG.md)."""
MAX_WORDS = 50_000
"""Only the last rare words of a longer text are learnt, to stay within seconds."""
MARK = "\0"
"""What stands before and after a word; no corpus has it (diagnosis.py refuses it)."""


class Speller:
    """A probability for every string of an alphabet, at least one character long.

    Raises:
        ConfigError: The alphabet is empty or has the mark.
    """

    def __init__(self, words: Sequence[str], alphabet: Sequence[str]) -> None:
        """Learn from words.

        Args:
            words: Distinct and not empty; no word at all leaves the uniform model.
            alphabet: The characters that words may have.
        """
        if not alphabet or MARK in alphabet:
            raise ConfigError("an alphabet must have characters, but not the NUL character")
        self._symbols = (*alphabet, MARK)
        self._index = {symbol: index for index, symbol in enumerate(self._symbols)}
        self._ngram = Ngram.fit(
            self._encode(words),
            vocabulary_size=len(self._symbols),
            order=ORDER,
            boundary=len(alphabet),
        )

    def bits(self, words: Sequence[str]) -> NDArray[np.float64]:
        """Return what it costs to spell each word (M,) of the alphabet, its end included."""
        assert all(word and MARK not in word for word in words)
        if not words:
            return np.zeros(0)
        bits = -np.log2(self._ngram.probabilities(self._encode(words)))
        ends = itertools.accumulate(len(word) + 1 for word in words)
        starts = np.array([0, *ends])[:-1]
        spelt: NDArray[np.float64] = np.log2(self._begins) + np.add.reduceat(bits, starts)
        return spelt

    def draw(self, uniform: Callable[[], float]) -> str:
        """Return a random word.

        Args:
            uniform: Gives random numbers, 0 <= u < 1.
        """
        word = ""
        state = self._start
        while True:
            probability_V = self._ngram.distribution(state[:, None])[0]
            if not word:  # no word is empty
                probability_V = probability_V[:-1] / self._begins
            place = int(probability_V.cumsum().searchsorted(uniform(), side="right"))
            # Rounding may leave a last crumb: it falls to the last symbol.
            symbol = self._symbols[min(place, len(probability_V) - 1)]
            if symbol == MARK:
                return word
            word += symbol
            state = self._ngram.step(state[:, None], np.array([self._index[symbol]]))[:, 0]

    @functools.cached_property
    def _start(self) -> NDArray[np.int64]:
        return self._ngram.start(np.empty(0, dtype=np.int64))

    @functools.cached_property
    def _begins(self) -> float:
        """The probability that a word has a first character; the n-gram would allow none."""
        return 1.0 - float(self._ngram.distribution(self._start[:, None])[0, -1])

    def _encode(self, words: Sequence[str]) -> NDArray[np.int64]:
        text = "".join(f"{word}{MARK}" for word in words)
        return np.fromiter((self._index[char] for char in text), dtype=np.int64, count=len(text))
