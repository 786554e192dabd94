"""Text from corpora, networks and names, made fit to be shown on a terminal."""

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def shown(text: str) -> str:
    r"""Return a text whose control characters are visible and do nothing.

    Left alone, an escape character in a book could move the cursor or set the terminal's title,
    and marks of direction could make a line read as another. Line feeds and tabs stay.

    >>> shown("a\x1b[2Jb\n")
    'a\\x1b[2Jb\n'
    """
    return _CONTROL.sub(lambda match: _escaped(match[0]), text)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
