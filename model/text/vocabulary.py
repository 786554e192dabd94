"""The symbols of a text and their numbers."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import ConfigError
from model.text.diagnosis import described_strangers

_CHUNK_CHARS = 1 << 20


def smallest_type(num_symbols: int) -> type[np.integer[Any]]:
    """Return the smallest type of index that leaves one number to spare, for padding.

    torch counts with few unsigned types, so two bytes are signed.
    """
    if num_symbols <= np.iinfo(np.uint8).max:
        return np.uint8
    return np.int16 if num_symbols <= np.iinfo(np.int16).max else np.int32


@dataclasses.dataclass(frozen=True, slots=True)
class Vocabulary:
    """A sorted set of characters; a character's index is its position.

    Raises:
        ConfigError: A symbol is not one character, or the symbols are not sorted and distinct.
    """

    symbols: tuple[str, ...]

    def __post_init__(self) -> None:
        if list(self.symbols) != sorted(set(self.symbols)) or not self.symbols:
            raise ConfigError("a vocabulary's symbols must be distinct, sorted and not empty")
        if any(len(symbol) != 1 for symbol in self.symbols):
            raise ConfigError("each symbol of a vocabulary must be one character")

    @classmethod
    def of(cls, *texts: str) -> "Vocabulary":
        """The vocabulary of all characters in some texts."""
        return cls(tuple(sorted(set().union(*map(set, texts)))))

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, text: str) -> NDArray[np.integer[Any]]:
        """Return the indices of the text's characters, in the smallest type.

        Raises:
            ConfigError: The text has characters outside the vocabulary.
        """
        known = np.array([ord(symbol) for symbol in self.symbols], dtype=np.uint32)
        indices: NDArray[np.integer[Any]] = np.empty(len(text), dtype=smallest_type(len(self)))
        for start in range(0, len(text), _CHUNK_CHARS):  # 100 MB of text shall fit in memory
            chunk = text[start : start + _CHUNK_CHARS]
            codes = np.frombuffer(chunk.encode("utf-32-le"), dtype=np.uint32)
            found = np.searchsorted(known, codes).clip(max=len(known) - 1)
            if not np.array_equal(known[found], codes):
                raise ConfigError(described_strangers(text, self.symbols))
            indices[start : start + _CHUNK_CHARS] = found
        return indices

    def encode_prime(self, text: str) -> NDArray[np.integer[Any]]:
        """Return the indices of a text that goes on; see `encode`."""
        return self.encode(text)

    def decode(self, indices: NDArray[np.integer[Any]]) -> str:
        """Return the characters at the indices.

        >>> vocabulary = Vocabulary.of("alice")
        >>> vocabulary.decode(vocabulary.encode("lace"))
        'lace'
        """
        codes = np.array([ord(symbol) for symbol in self.symbols], dtype="<u4")
        starts = range(0, len(indices), _CHUNK_CHARS)
        chunks = (codes[indices[start : start + _CHUNK_CHARS]] for start in starts)
        return "".join(chunk.tobytes().decode("utf-32-le") for chunk in chunks)

    def written(self, symbol: int, before: str, uniform: Callable[[], float]) -> str:
        """Return what a symbol adds to a text: the character, whatever was before it."""
        return self.symbols[symbol]

    @property
    def alphabet(self) -> tuple[str, ...]:
        """The characters of the text."""
        return self.symbols
