"""The symbols of a word-level model: frequent tokens, and one for all that must be spelled."""

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import ConfigError
from model.spelling import MAX_WORDS, Speller
from model.vocabulary import smallest_type
from model.words import is_word_char, spaced, tokenize


@dataclasses.dataclass(frozen=True)
class WordVocabulary:
    """The tokens that are symbols, and what spells the others.

    A token's index is its position; the unknown symbol, for every other token, comes last.

    Attributes:
        tokens: Words and single other characters (see words.py), sorted.
        rare_words: What the spelling model learns from: the training text's rare tokens.
        alphabet: The characters of the whole cleaned text, sorted.

    Raises:
        ConfigError: The tokens are not sorted and distinct, one is empty, or the alphabet is.
    """

    tokens: tuple[str, ...]
    rare_words: tuple[str, ...]
    alphabet: tuple[str, ...]

    def __post_init__(self) -> None:
        if list(self.tokens) != sorted(set(self.tokens)) or "" in self.tokens:
            raise ConfigError("a vocabulary's tokens must be distinct, sorted and not empty")
        if "" in self.rare_words or any(len(char) != 1 for char in self.alphabet):
            raise ConfigError("rare words must not be empty, an alphabet's characters single")

    @classmethod
    def of(cls, train: str, alphabet: Iterable[str], *, min_word_count: int) -> "WordVocabulary":
        """The vocabulary of a training text, the only text that is counted.

        The spelling model learns from the tokens that are no symbols, each once. With
        `min_word_count` 1 there are none, and it learns from those that stand in the text once:
        they are what a new word is most like.

        Args:
            train: The cleaned training text.
            alphabet: The characters of the whole cleaned text, sorted.
            min_word_count: A token is a symbol if it stands in the text so often; at least 1.
        """
        counts = Counter(tokenize(train))
        rare_below = max(min_word_count, 2)
        rare_words = [token for token, count in counts.items() if count < rare_below]
        return cls(
            tokens=tuple(sorted(t for t, count in counts.items() if count >= min_word_count)),
            rare_words=tuple(sorted(rare_words[-MAX_WORDS:])),
            alphabet=tuple(alphabet),
        )

    def __len__(self) -> int:
        return len(self.tokens) + 1

    def encode(self, text: str) -> NDArray[np.integer[Any]]:
        """Return the indices of the text's tokens, in the smallest type."""
        indices = (self._index.get(token, len(self.tokens)) for token in tokenize(text))
        return np.fromiter(indices, dtype=smallest_type(len(self)))

    def encode_prime(self, text: str) -> NDArray[np.integer[Any]]:
        """Return the indices of a text that goes on: a space at its end is before a word."""
        ends_in_space = text[-1:] == " " and is_word_char(text[-2:-1] or " ")
        return self.encode(text[:-1] if ends_in_space else text)

    def spelling_bits(self, text: str) -> float:
        """Return what spelling the unknown tokens of a text costs, in bits in all."""
        unknown = Counter(token for token in tokenize(text) if token not in self._index)
        return sum(count * self._speller.bits(token) for token, count in unknown.items())

    def written(self, symbol: int, before: str, uniform: Callable[[], float]) -> str:
        """Return what a symbol adds to a text; an unknown one is spelled.

        Args:
            symbol: An index.
            before: The text before it.
            uniform: Gives random numbers, 0 <= u < 1.
        """
        known = symbol < len(self.tokens)
        token = self.tokens[symbol] if known else self._speller.draw(uniform)
        return spaced(token, before)

    @functools.cached_property
    def _index(self) -> dict[str, int]:
        return {token: index for index, token in enumerate(self.tokens)}

    @functools.cached_property
    def _speller(self) -> Speller:
        return Speller(self.rare_words, self.alphabet)
