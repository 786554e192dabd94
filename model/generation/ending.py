"""Where passages begin and end: a length, a string that ends them, a separator between them."""

import dataclasses
from typing import NamedTuple

from model.errors import ConfigError
from model.text.cleaning import clean
from model.text.streams import AnyVocabulary


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """Where passages begin and end.

    Attributes:
        num_chars: Maximum number of characters drawn for a passage, at least 1.
        stop: A passage ends after this string; None means no such string.
        separator: The network reads this string before the prime, and a passage ends after it;
            None means no such string. Separators at the beginning of a passage are dropped.

    Raises:
        ConfigError: A value is out of its range.
    """

    num_chars: int
    stop: str | None = None
    separator: str | None = None

    def __post_init__(self) -> None:
        if self.num_chars < 1:
            raise ConfigError(f"chars must be at least 1, got {self.num_chars}")
        for name in ("stop", "separator"):
            if getattr(self, name) == "":
                raise ConfigError(f"{name} must have at least one character")

    @property
    def ends(self) -> tuple[str, ...]:
        """The strings that end a passage."""
        return tuple(end for end in (self.stop, self.separator) if end is not None)

    def cleaned(self, cleaning: str, vocabulary: AnyVocabulary) -> "Bounds":
        """Return the same for a network: the strings are cleaned, and the network can write them.

        Args:
            cleaning: The network's cleaning; it may only change the case of a string.
            vocabulary: The network's symbols.

        Raises:
            ConfigError: The network can never write a string.
        """
        strings: dict[str, str] = {}
        for name in ("stop", "separator"):
            string = getattr(self, name)
            if string is None:
                continue
            strings[name] = clean(string, cleaning)
            if strings[name].lower() != string.lower():
                raise ConfigError(
                    f"{name} must survive the cleaning {cleaning!r}, got {string!r}, of which "
                    f"it leaves {strings[name]!r}"
                )
            strangers = "".join(sorted(vocabulary.unknown_chars(strings[name])))
            if strangers:
                raise ConfigError(
                    f"{name} must be made of the network's characters, got {string!r} with "
                    f"{strangers!r}"
                )
        return dataclasses.replace(self, **strings)  # type: ignore[arg-type]  # mypy 2


class Piece(NamedTuple):
    """What a step adds to a passage: the passage's index, the text, whether the passage ends."""

    passage: int
    text: str
    is_last: bool


class Passage:
    """One passage while it is being written.

    Attributes:
        is_over: Whether it has reached its length, or the string that ends it.
    """

    def __init__(self, bounds: Bounds) -> None:
        """Start empty.

        Args:
            bounds: Where it begins and ends; cleaned.
        """
        self.is_over = False
        self._left = bounds.num_chars
        self._ends = bounds.ends
        self._leading = bounds.separator
        self._held = ""
        self._tail = ""
        self._tail_chars = max(map(len, self._ends), default=1) - 1

    def take(self, written: str) -> str:
        """Return the part of the newly written text that belongs to the passage."""
        written = written[: self._left]
        self._left -= len(written)
        self.is_over = self._left == 0
        if self._leading is not None:
            written = self._without_leading(written, self._leading)
        text = self._tail + written
        found = [text.find(end) + len(end) for end in self._ends if end in text]
        if found:
            self.is_over = True
            return text[len(self._tail) : min(found)]
        self._tail = text[len(text) - self._tail_chars :] if self._tail_chars else ""
        return written

    def _without_leading(self, written: str, separator: str) -> str:
        """Drop separators at the beginning; hold back what may still become one."""
        self._held = (self._held + written).removeprefix(separator)
        while self._held.startswith(separator):
            self._held = self._held.removeprefix(separator)
        if separator.startswith(self._held) and not self.is_over:
            return ""
        self._leading = None
        return self._held
