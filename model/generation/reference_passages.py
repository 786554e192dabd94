"""Passages of the reference's three networks, a scale for a text's figures.

reference_passages.json holds the passages, their prompts and their source; it must lie next to
this file, which reads it.
"""

import dataclasses
import json
from pathlib import Path

from model.text.cleaning import LETTERS, clean

_PATH = Path(__file__).with_suffix(".json")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ReferencePassage:
    """A passage that one of the reference's networks wrote.

    Attributes:
        name: The experiment.
        cleaning: How its book was cleaned.
        prompt: A quotation from the book, which the network read first.
        text: What it wrote.
    """

    name: str
    cleaning: str
    prompt: str
    text: str


def reference_passages(book: str) -> list[ReferencePassage]:
    """Return the passages if a text is the book that the networks learnt; otherwise none.

    Args:
        book: A raw text, in any edition: it only has to contain the prompts.
    """
    values = json.loads(_PATH.read_text(encoding="utf-8"))
    passages = [ReferencePassage(**passage) for passage in values["passages"]]
    letters = _letters(book)
    return passages if all(_letters(p.prompt) in letters for p in passages) else []


def _letters(text: str) -> str:
    return " ".join(clean(text, LETTERS).split())
