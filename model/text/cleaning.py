"""Cleanings: per-character maps from a character to one character or to nothing.

Because each map works on single characters, cleaning the parts of a text and cleaning the
whole give the same result, so a split made on the raw text stays where it was. To add a
cleaning, write one function and its entry in CLEANINGS: it is then a choice of every space, has a
price and stands in the reports. It must keep the letters, by which finalists of all cleanings are
compared (model/scoring/letters.py); `clean` refuses one that does not.
"""

import dataclasses
import unicodedata
from collections.abc import Callable, Iterable

from model.errors import ConfigError, unknown_choice

RAW = "cased"
"""The cleaning that leaves the text as it is: prices and floors are measured against it."""
LETTERS = "letters"
"""The cleaning that leaves what all cleanings keep."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Cleaning:
    """A cleaning.

    Attributes:
        char: Map of a character to one character, or to an empty string.
        description: What it leaves, as the end of "It reads ...".
    """

    char: Callable[[str], str]
    description: str


def _lower(char: str) -> str:
    lowered = char.lower()
    return lowered if len(lowered) == 1 else char  # İ lowers to two characters: it stays


def _letters(char: str) -> str:
    if char.isspace():
        return " "
    lowered = _lower(char)
    return lowered if unicodedata.category(lowered)[0] in "LM" else ""


CLEANINGS: dict[str, Cleaning] = {
    RAW: Cleaning(char=str, description="the text as it is"),
    "lower": Cleaning(char=_lower, description="the text in lower case"),
    LETTERS: Cleaning(char=_letters, description="the letters alone, in lower case"),
}


def clean(text: str, cleaning: str) -> str:
    r"""Apply a cleaning.

    >>> clean("Oh dear!\nOh dear!", "letters")
    'oh dear oh dear'

    Raises:
        ConfigError: The cleaning is unknown.
    """
    cleaned = cleaned_chars(set(text), cleaning)
    return text.translate({ord(char): symbol for char, symbol in cleaned.items()})


def cleaned_chars(chars: Iterable[str], cleaning: str) -> dict[str, str]:
    """Return what a cleaning makes of each character: one character, or an empty string.

    Raises:
        ConfigError: The cleaning is unknown.
    """
    if cleaning not in CLEANINGS:
        raise ConfigError(unknown_choice("cleaning", cleaning, CLEANINGS))
    return {char: _cleaned(cleaning, char) for char in chars}


def _cleaned(cleaning: str, char: str) -> str:
    """Return what a cleaning makes of a character: its letter must survive."""
    cleaned = CLEANINGS[cleaning].char(char)
    assert len(cleaned) <= 1, f"cleaning {cleaning!r}: {char!r} becomes {cleaned!r}"
    survives = not _letters(char) or (cleaned and _letters(cleaned) == _letters(char))
    assert survives, f"cleaning {cleaning!r} must keep the letter {char!r}, got {cleaned!r}"
    return cleaned
