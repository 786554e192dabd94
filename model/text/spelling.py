"""Spells words that are no symbols of their own: a character n-gram over words.

It gives every string a probability, so a word-level model can be judged on any text. The
mathematics is the floor model's (ngram.py): interpolated Witten-Bell. A word is preceded by
the mark and ended by it, and is at least one character long. The words that it learns from
count once each: a new word is like a word of the vocabulary's edge, not like the commonest one.
"""

import functools
import math
from collections import Counter
from collections.abc import Callable, Sequence

from model.errors import ConfigError

ORDER = 5
"""Measured on the reference's book with orders 2 to 6, rare words below 2, 3 and 5, cased and
lower: 5 is best or within 0.002 bits per character of the best on the validation passage."""
MAX_WORDS = 50_000
"""Only the last rare words of a longer text are learnt, to stay within seconds."""
MARK = "\0"
"""What stands before and after a word; no corpus has it (diagnosis.py refuses it)."""
_BEFORE = MARK * (ORDER - 1)


class Speller:
    """A probability for every string of an alphabet, at least one character long.

    Raises:
        ConfigError: The alphabet is empty, or has the mark.
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
        self._counts: Counter[str] = Counter()
        """How often a context and the symbol after it were seen."""
        self._totals: Counter[str] = Counter()
        """How often a context was seen."""
        self._kinds: Counter[str] = Counter()
        """How many different symbols were seen after a context."""
        for word in words:
            self._count(f"{_BEFORE}{word}{MARK}")

    def bits(self, word: str) -> float:
        """Return what it costs to spell a word of the alphabet, its end included."""
        assert word and MARK not in word
        text = f"{_BEFORE}{word}{MARK}"
        positions = range(ORDER - 1, len(text))
        spelt = sum(
            math.log2(self._probability(text[:position], text[position])) for position in positions
        )
        return math.log2(self._begins) - spelt

    def draw(self, uniform: Callable[[], float]) -> str:
        """Return a random word.

        Args:
            uniform: Gives random numbers, 0 <= u < 1.
        """
        text = _BEFORE
        while True:
            left = uniform() * (self._begins if text == _BEFORE else 1.0)
            symbols = self._symbols[:-1] if text == _BEFORE else self._symbols
            for symbol in symbols:
                left -= self._probability(text, symbol)
                if left < 0:
                    break
            # Rounding may leave a last crumb: it falls to the last symbol.
            if symbol == MARK:
                return text[len(_BEFORE) :]
            text += symbol

    @functools.cached_property
    def _begins(self) -> float:
        """The probability that a word has a first character; the n-gram would allow none."""
        return 1.0 - self._probability(_BEFORE, MARK)

    def _count(self, text: str) -> None:
        for position in range(ORDER - 1, len(text)):
            for length in range(ORDER):
                context, seen = (
                    text[position - length : position],
                    text[position - length : position + 1],
                )
                self._kinds[context] += seen not in self._counts
                self._totals[context] += 1
                self._counts[seen] += 1

    def _probability(self, text: str, symbol: str) -> float:
        """Return p(symbol | the last ORDER - 1 characters of the text); see ngram.py."""
        probability = 1.0 / len(self._symbols)
        for length in range(ORDER):
            context = text[len(text) - length :]
            total = self._totals.get(context, 0)
            if total == 0:
                break  # longer contexts were not seen either
            kinds = self._kinds[context]
            count = self._counts.get(context + symbol, 0)
            probability = (count + kinds * probability) / (total + kinds)
        return probability
