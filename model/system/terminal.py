"""Makes text from corpora, networks and names fit for a terminal, and prints it."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    r"""Return a text whose control characters are visible and do nothing.

    Left alone, an escape character in a book could move the cursor or set the terminal's title,
    and marks of direction could make a line read as another. Line feeds and tabs stay.

    >>> printable("a\x1b[2Jb\n")
    'a\\x1b[2Jb\n'
    """
    return _CONTROL.sub(lambda match: _escaped(match[0]), text)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def say(console: "Console", text: str = "") -> None:
    """Print a text: one line stays one, brackets are no markup, control characters do nothing.

    Errors, names and generated text may hold any of these.
    """
    console.print(printable(text), highlight=False, markup=False, soft_wrap=True)
