"""The symbols of a text and their numbers."""

import dataclasses
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from model.errors import ConfigError
from model.text.diagnosis import described_strangers
from model.text.packed import Text

_CHUNK_CHARS = 1 << 20
"""Characters that are looked at together: a gigabyte of text shall fit in memory."""
WHOLE = slice(None)
Symbols = NDArray[np.integer[Any]]
"""Indices of symbols; those of a text are in the smallest type (`smallest_type`)."""
_DROPPED, _STRANGER = -1, -2
"""What stands for an index where a character has none: a cleaning drops it, or it is unknown."""


def smallest_type(num_symbols: int) -> type[np.integer[Any]]:
    """Return the smallest type of index that leaves one number to spare, for padding.

    torch counts with few unsigned types, so two bytes are signed.
    """
    if num_symbols <= np.iinfo(np.uint8).max:
        return np.uint8
    return np.int16 if num_symbols <= np.iinfo(np.int16).max else np.int32


def _codes(text: Text, place: slice) -> Iterator[NDArray[np.uint32]]:
    """Yield the code points of a part of a text, some characters at a time."""
    start, stop, _ = place.indices(len(text))
    for at in range(start, stop, _CHUNK_CHARS):
        chunk = text[at : min(at + _CHUNK_CHARS, stop)]
        yield np.frombuffer(chunk.encode("utf-32-le"), dtype="<u4")


def char_counts(text: Text, place: slice = WHOLE) -> dict[str, int]:
    """Return how often each character of a text, or of a part, occurs."""
    counts = np.zeros(sys.maxunicode + 1, dtype=np.int64)
    for codes in _codes(text, place):
        found = np.bincount(codes)
        counts[: len(found)] += found
    return {chr(code): int(counts[code]) for code in counts.nonzero()[0]}


class _HasAlphabet(Protocol):
    @property
    def alphabet(self) -> tuple[str, ...]: ...


class BaseVocabulary(ABC):
    """What all vocabularies do, each in the same way unless it says otherwise."""

    __slots__ = ()

    @abstractmethod
    def encode(self, text: str) -> Symbols:
        """Return the indices of a text's symbols, in the smallest type."""

    def encode_prime(self, text: str) -> Symbols:
        """Return the indices of a text that goes on; see `encode`."""
        return self.encode(text)

    def unknown_chars(self: _HasAlphabet, text: str) -> set[str]:
        """Return the characters of a text that cannot be read."""
        return set(text).difference(self.alphabet)

    def spelling_bits(self, text: str) -> float:
        """Return what spelling unknown symbols of a text costs: there are none."""
        return 0.0

    def rare_in(self, text: str) -> str:
        """Return the characters of a text that share a symbol, in order: there are none."""
        return ""

    @property
    def blank(self: _HasAlphabet) -> str:
        """What is read where no text stands before: a space, or the first character."""
        return " " if " " in self.alphabet else self.alphabet[0]


@dataclasses.dataclass(frozen=True, slots=True)
class Vocabulary(BaseVocabulary):
    """A sorted set of characters; a character's index is its position.

    Raises:
        ConfigError: A symbol is not one character, or the symbols are not sorted and distinct.
    """

    symbols: tuple[str, ...]
    unit: ClassVar[str] = "char"

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

    def encode(
        self, text: Text, cleaned: Mapping[str, str] | None = None, place: slice = WHOLE
    ) -> Symbols:
        """Return the indices of the text's characters, in the smallest type.

        Args:
            text: The text.
            cleaned: What each of its characters becomes before, a character or nothing; None is
                itself.
            place: The part that is encoded; a copy of it may not fit beside the text.

        Raises:
            ConfigError: The text has characters outside the vocabulary.
        """
        if cleaned is None:
            cleaned = dict(zip(self.symbols, self.symbols, strict=True))
        of_symbol = {"": _DROPPED} | {symbol: at for at, symbol in enumerate(self.symbols)}
        # A place for each code point up to the last that is known, and one for all others.
        of_code = np.full(max(map(ord, cleaned), default=0) + 2, _STRANGER, dtype=np.int32)
        for char, symbol in cleaned.items():
            of_code[ord(char)] = of_symbol.get(symbol, _STRANGER)
        num_chars = len(range(*place.indices(len(text))))
        indices: Symbols = np.empty(num_chars, dtype=smallest_type(len(self)))
        num_encoded = 0
        for codes in _codes(text, place):
            found = of_code[np.minimum(codes, len(of_code) - 1)]
            if (lowest := found.min()) == _STRANGER:
                raise ConfigError(described_strangers(str(text), self.symbols))
            if lowest == _DROPPED:
                found = found[found != _DROPPED]
            indices[num_encoded : num_encoded + len(found)] = found
            num_encoded += len(found)
        indices.resize(num_encoded, refcheck=False)  # in place
        return indices

    def decode(self, indices: Symbols) -> str:
        """Return the characters at the indices.

        >>> vocabulary = Vocabulary.of("alice")
        >>> vocabulary.decode(vocabulary.encode("lace"))
        'lace'
        """
        codes = np.array([ord(symbol) for symbol in self.symbols], dtype="<u4")
        starts = range(0, len(indices), _CHUNK_CHARS)
        chunks = (codes[indices[start : start + _CHUNK_CHARS]] for start in starts)
        return "".join(chunk.tobytes().decode("utf-32-le") for chunk in chunks)

    def writer(self, before: str, uniform: Callable[[], float]) -> Callable[[int], str]:
        """Return what writes one passage: it takes a symbol, and returns its character.

        Args:
            before: The text before the passage, which changes nothing.
            uniform: Gives random numbers, none of which is needed.
        """
        return self.symbols.__getitem__

    @property
    def alphabet(self) -> tuple[str, ...]:
        """The characters of the text."""
        return self.symbols
