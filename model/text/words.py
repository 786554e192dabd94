r"""Cuts a text into tokens: words, and every other character alone.

A word is letters, marks and digits, with apostrophes between them ("don't"). Words are as long
as can be, so two of them never touch. That leaves the commonest token for free: a single
space between two words is not written down, and two words in a row are read with a space
between them. Joining the tokens gives the text back, whatever it is.

    text     'Oh dear! Oh dear!'
    tokens   ' Oh dear ! _ Oh dear ! '          (_ is the space after the exclamation mark)

Measured on the reference's book (LOG.md): a third fewer tokens than with every space as one,
and a better score than with each space glued to the word after it, which makes two symbols of
one word.
"""

import dataclasses
import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import ConfigError
from model.text.spelling import MAX_WORDS, Speller
from model.text.vocabulary import smallest_type

_APOSTROPHES = "'\N{RIGHT SINGLE QUOTATION MARK}"


def is_word_char(char: str) -> bool:
    """Return whether a character is a letter, a mark or a digit, in any script."""
    return unicodedata.category(char)[0] in "LMN"


def tokenize(text: str) -> Iterator[str]:
    """Yield the tokens of a text; a generator, for a list of a long text's would fill memory.

    >>> list(tokenize("'Don't,' said  Alice to it."))
    ["'", "Don't", ',', "'", ' ', 'said', ' ', ' ', 'Alice', 'to', 'it', '.']
    """
    letters = "".join(re.escape(char) for char in sorted(set(text)) if is_word_char(char))
    of_word = f"[0-9{letters}]"  # digits are there anyway: no class may be empty
    between_words = f"(?<={of_word}) (?={of_word})"
    token = f"({of_word}+(?:[{_APOSTROPHES}]{of_word}+)*|.)"
    for match in re.finditer(f"{between_words}|{token}", text, re.DOTALL):
        if match[1]:
            yield match[1]


def spaced(token: str, before: str) -> str:
    """Return what a token adds to a text: itself, after a space between two words.

    Args:
        token: At least one character.
        before: The text before it, or at least its last character.
    """
    between_words = before and is_word_char(before[-1]) and is_word_char(token[0])
    return f" {token}" if between_words else token


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
            min_word_count: Least count in the text of a token that is a symbol; at least 1.
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
