"""Cleanings: per-character maps from a character to one character or to nothing.

Because each map works on single characters, cleaning the parts of a text and cleaning the
whole give the same result, so a split made on the raw text stays where it was. To add a
cleaning, write one function and name it in CLEANINGS.
"""

import unicodedata
from collections.abc import Callable

from model.errors import ConfigError, unknown_choice


def _cased(char: str) -> str:
    return char


def _lower(char: str) -> str:
    lowered = char.lower()
    return lowered if len(lowered) == 1 else char  # İ lowers to two characters: it stays


def _letters(char: str) -> str:
    if char.isspace():
        return " "
    lowered = _lower(char)
    return lowered if unicodedata.category(lowered)[0] in "LM" else ""


CLEANINGS: dict[str, Callable[[str], str]] = {
    "cased": _cased,
    "lower": _lower,
    "letters": _letters,
}
"""Name to map: the text as it is; lower case; lower-case letters, their marks and spaces."""


def clean(text: str, cleaning: str) -> str:
    r"""Apply a cleaning.

    >>> clean("Oh dear!\nOh dear!", "letters")
    'oh dear oh dear'

    Raises:
        ConfigError: The cleaning is unknown.
    """
    if cleaning not in CLEANINGS:
        raise ConfigError(unknown_choice("cleaning", cleaning, CLEANINGS))
    clean_char = CLEANINGS[cleaning]
    return text.translate({ord(char): clean_char(char) for char in set(text)})
