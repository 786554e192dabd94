"""The common characters of a text as symbols, and one symbol for all the rare ones.

A long text has characters that it hardly uses: of 12 million characters of Python source 1,227
stand there once, 76 make up all but 0.014 %. Each would cost a row of the output's weights at
every step: an LSTM of 512 units takes 1.6 times as long with all 1,432 as with the common ones.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np

from model.errors import ConfigError
from model.text.vocabulary import BaseVocabulary, Symbols, Vocabulary, smallest_type

_CHUNK_SYMBOLS = 1 << 20
"""Symbols that are counted or numbered anew together: numpy makes 8 bytes of each meanwhile."""


@dataclasses.dataclass(frozen=True)
class CommonCharVocabulary(BaseVocabulary):
    """The characters that are symbols, and those that share one.

    A character's index is its position; the symbol of the rare ones comes last. Which of them it
    is costs the same for each, so every text of the alphabet has a finite score.

    Attributes:
        common: The characters that are symbols, sorted.
        rare: The others, sorted.

    Raises:
        ConfigError: One of the two is empty or not sorted, or they share characters.
    """

    common: tuple[str, ...]
    rare: tuple[str, ...]
    unit: ClassVar[str] = "char"

    def __post_init__(self) -> None:
        for chars in (self.common, self.rare):
            Vocabulary(chars)  # it has the rules
        if not set(self.common).isdisjoint(self.rare):
            raise ConfigError("common and rare characters must differ")

    @classmethod
    def of(
        cls, alphabet: Sequence[str], train: Symbols, *, min_char_count: int
    ) -> "CommonCharVocabulary | None":
        """The vocabulary of a training text, the only text that is counted.

        Args:
            alphabet: The characters of the whole cleaned text, sorted.
            train: The training text (N,), each character by its place in the alphabet.
            min_char_count: Least count in the text of a character that is a symbol.

        Returns:
            The vocabulary; None where it would save nothing.
        """
        counts = np.zeros(len(alphabet), dtype=np.int64)
        for start in range(0, len(train), _CHUNK_SYMBOLS):
            chunk = train[start : start + _CHUNK_SYMBOLS]
            counts += np.bincount(chunk, minlength=len(alphabet))
        is_rare = counts < min_char_count
        if np.count_nonzero(is_rare) < 2 or is_rare.all():
            return None
        return cls(
            common=tuple(itertools.compress(alphabet, ~is_rare)),
            rare=tuple(itertools.compress(alphabet, is_rare)),
        )

    def __len__(self) -> int:
        return len(self.common) + 1

    def encode(self, text: str) -> Symbols:
        """Return the indices of the text's characters, in the smallest type.

        Raises:
            ConfigError: The text has characters outside the alphabet.
        """
        return self.renumbered(self._all.encode(text))

    def decode(self, indices: Symbols, rare: str) -> str:
        """Return the text of indices (N,), given its rare characters in their order.

        >>> vocabulary = CommonCharVocabulary(("a", "b"), ("x", "y"))
        >>> vocabulary.decode(vocabulary.encode("ayabxb"), "yx")
        'ayabxb'
        """
        places = _looked_up(self._place_of_index, indices)
        places[indices == len(self.common)] = self._all.encode(rare)
        return self._all.decode(places)

    def renumbered(self, indices: Symbols) -> Symbols:
        """Return the indices (N,) of characters that are given by their place in the alphabet."""
        return _looked_up(self._index_of_place, indices)

    def writer(self, before: str, uniform: Callable[[], float]) -> Callable[[int], str]:
        """Return what writes one passage: it takes a symbol, and returns its character.

        Args:
            before: The text before the passage, which changes nothing.
            uniform: Gives random numbers, 0 <= u < 1, one for each rare character.
        """

        def write(symbol: int) -> str:
            if symbol < len(self.common):
                return self.common[symbol]
            return self.rare[int(uniform() * len(self.rare))]

        return write

    def rare_in(self, text: str) -> str:
        """Return the rare characters of a text in their order."""
        rare = set(self.rare)
        return "".join(char for char in text if char in rare)

    def spelling_bits(self, text: str) -> float:
        """Return what telling the rare characters of a text apart costs, in bits in all."""
        return len(self.rare_in(text)) * math.log2(len(self.rare))

    @functools.cached_property
    def alphabet(self) -> tuple[str, ...]:
        """The characters of the text, sorted."""
        return tuple(sorted(self.common + self.rare))

    @functools.cached_property
    def _all(self) -> Vocabulary:
        return Vocabulary(self.alphabet)

    @functools.cached_property
    def _index_of_place(self) -> Symbols:
        index = {char: at for at, char in enumerate(self.common)}
        return np.array(
            [index.get(char, len(self.common)) for char in self.alphabet],
            dtype=smallest_type(len(self)),
        )

    @functools.cached_property
    def _place_of_index(self) -> Symbols:
        place = {char: at for at, char in enumerate(self.alphabet)}
        # The last is of no use: each rare character has a place of its own.
        return np.array([*map(place.__getitem__, self.common), 0], dtype=smallest_type(len(place)))


def _looked_up(table: Symbols, indices: Symbols) -> Symbols:
    """Return `table[indices]` without eight bytes of each index at once."""
    found = np.empty(len(indices), dtype=table.dtype)
    for start in range(0, len(indices), _CHUNK_SYMBOLS):
        chunk = slice(start, start + _CHUNK_SYMBOLS)
        found[chunk] = table[indices[chunk]]
    return found
