"""The symbols of a text and their numbers."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from model.errors import ConfigError


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
    def of(cls, text: str) -> "Vocabulary":
        """The vocabulary of all characters in a text."""
        return cls(tuple(sorted(set(text))))

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, text: str) -> NDArray[np.int64]:
        """Return the indices of the text's characters.

        Raises:
            ConfigError: The text has characters outside the vocabulary.
        """
        codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
        known = np.array([ord(symbol) for symbol in self.symbols], dtype=np.uint32)
        indices = np.searchsorted(known, codes).clip(max=len(known) - 1)
        if not np.array_equal(known[indices], codes):
            strangers = "".join(sorted(set(text) - set(self.symbols)))
            raise ConfigError(
                f"every character must be in the vocabulary {''.join(self.symbols)!r}, "
                f"got {strangers!r}"
            )
        return indices.astype(np.int64)

    def decode(self, indices: NDArray[np.int64]) -> str:
        """Return the characters at the indices.

        >>> vocabulary = Vocabulary.of("alice")
        >>> vocabulary.decode(vocabulary.encode("lace"))
        'lace'
        """
        return "".join(self.symbols[index] for index in indices)
