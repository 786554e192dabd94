"""The bytes of a text in UTF-8 as symbols: any text can be read, whatever its characters."""

import codecs
import dataclasses
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from model.errors import ConfigError
from model.text.vocabulary import BaseVocabulary, Symbols

ENCODING = "utf-8"
NUM_BYTES = 0xF5
"""Bytes of UTF-8 are below: 0xF4 begins the last of Unicode's code points."""


@dataclasses.dataclass(frozen=True, slots=True)
class ByteVocabulary(BaseVocabulary):
    """All bytes that UTF-8 has; a byte's index is its value.

    They are not those of a training part alone: any text can be scored, and a bit per byte is of
    the same symbols whatever the text. 245 of 256 leave the number of a byte that padding needs,
    so a text takes one byte a symbol. Those that a text never has cost a trained network nothing
    that can be measured.
    """

    unit: ClassVar[str] = "byte"

    def __len__(self) -> int:
        return NUM_BYTES

    def encode(self, text: str) -> Symbols:
        """Return the bytes of a text.

        Raises:
            ConfigError: It has a surrogate, which UTF-8 has not.
        """
        try:
            data = text.encode(ENCODING)
        except UnicodeEncodeError as error:
            raise ConfigError(
                f"a text must have characters of UTF-8 alone, got {text[error.start]!r}"
            ) from error
        return np.frombuffer(data, dtype=np.uint8).copy()  # bytes are not writable

    def writer(self, before: str, uniform: Callable[[], float]) -> Callable[[int], str]:
        """Return what writes one passage: it takes a byte, and returns the text that is then sure.

        That is a character with its last byte, and nothing until then. Bytes that make no UTF-8
        become U+FFFD, as Python's decoder gives them.

        >>> write = ByteVocabulary().writer("", lambda: 0.0)
        >>> [write(byte) for byte in "né".encode()]
        ['n', '', 'é']
        """
        decoder = codecs.getincrementaldecoder(ENCODING)("replace")
        return lambda symbol: decoder.decode(bytes([symbol]))

    def unknown_chars(self, text: str) -> set[str]:
        """Return the characters of a text that cannot be read: surrogates alone."""
        return {char for char in set(text) if "\ud800" <= char <= "\udfff"}

    @property
    def blank(self) -> str:
        """What is read where no text stands before: a space."""
        return " "
