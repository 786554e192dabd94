"""The text of tokens, to check that tokenize loses nothing."""

from collections.abc import Iterable

from model.text.words import spaced


def join(tokens: Iterable[str]) -> str:
    """Return the text of its tokens."""
    pieces = []
    before = ""
    for token in tokens:
        pieces.append(spaced(token, before))
        before = token
    return "".join(pieces)
