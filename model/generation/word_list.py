"""A list of words for checking spelling, independent of the book.

The lists are those of pyspellchecker: twelve languages, frequent forms with their inflections.
If none of them fits, the system's own is tried. They are loaded on demand: the English one takes
0.3 s.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from model.text.cleaning import LETTERS, clean

SYSTEM_WORDS = Path("/usr/share/dict/words")
ENOUGH_SHARE = 0.8
"""A list that has this share of a book's running words is in its language; the search ends."""
LEAST_SHARE = 0.5
"""A list with a smaller share says nothing about the book's spelling."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class WordList:
    """A list of words, in lower case.

    Attributes:
        name: Its origin, for readers.
        words: Its words.
    """

    name: str
    words: frozenset[str]

    def cleaned(self, cleaning: str) -> "WordList":
        """Return the list after a cleaning: `letters` turns don't into dont."""
        if cleaning != LETTERS:
            return self
        return dataclasses.replace(
            self, words=frozenset(clean(" ".join(self.words), cleaning).split())
        )


def find_word_list(running_words: Iterable[str]) -> WordList | None:
    """Return the first list with ENOUGH_SHARE of a text's words, otherwise the best.

    Args:
        running_words: The text's words, in lower case, with repetitions.

    Returns:
        The list; None if no list has LEAST_SHARE of the words.
    """
    counts = Counter(running_words)
    best, best_share = None, LEAST_SHARE
    for candidate in _candidates():
        num_listed = sum(counts[word] for word in counts.keys() & candidate.words)
        share = num_listed / max(1, counts.total())
        if share >= best_share:
            best, best_share = candidate, share
        if share >= ENOUGH_SHARE:
            break
    return best


def _candidates() -> Iterator[WordList]:
    """Yield every available list, English first."""
    from spellchecker import SpellChecker

    languages = sorted(SpellChecker.languages(), key=lambda language: (language != "en", language))
    for language in languages:
        words = frozenset(SpellChecker(language=language).word_frequency.words())
        yield WordList(name=f"pyspellchecker's {language}, {len(words):,} words", words=words)
    if SYSTEM_WORDS.is_file():
        lines = SYSTEM_WORDS.read_text(encoding="utf-8", errors="replace").splitlines()
        words = frozenset(line.strip().lower() for line in lines)
        yield WordList(name=f"{SYSTEM_WORDS}, {len(words):,} words", words=words)
