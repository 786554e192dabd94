"""A list of words to check spelling against, whatever the book.

The lists are those of pyspellchecker: twelve languages, frequent forms with their inflections.
Where none of them fits, the system's own is tried. They are read on demand: the English one takes
0.3 s.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from model.text.cleaning import LETTERS, clean

SYSTEM_WORDS = Path("/usr/share/dict/words")
ENOUGH_SHARE = 0.8
"""Share of a book's running words at which a list is of its language; no other is tried."""
LEAST_SHARE = 0.5
"""A list that has fewer of them says nothing about its spelling."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class WordList:
    """A list of words, in lower case.

    Attributes:
        name: Where it is from, for people.
        words: What it has.
    """

    name: str
    words: frozenset[str]

    def cleaned(self, cleaning: str) -> "WordList":
        """Return the list as a cleaning leaves it: `letters` makes dont of don't."""
        if cleaning != LETTERS:
            return self
        return dataclasses.replace(
            self, words=frozenset(clean(" ".join(self.words), cleaning).split())
        )


def find_word_list(running_words: Iterable[str]) -> WordList | None:
    """Return the list that fits a text: it has most of the text's words.

    Args:
        running_words: The text's words, in lower case, each as often as it stands there.

    Returns:
        The list; None where no list has LEAST_SHARE of the words.
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
    """Yield every list there is, English first."""
    from spellchecker import SpellChecker

    languages = sorted(SpellChecker.languages(), key=lambda language: (language != "en", language))
    for language in languages:
        words = frozenset(SpellChecker(language=language).word_frequency.words())
        yield WordList(name=f"pyspellchecker's {language}, {len(words):,} words", words=words)
    if SYSTEM_WORDS.is_file():
        lines = SYSTEM_WORDS.read_text(encoding="utf-8", errors="replace").splitlines()
        words = frozenset(line.strip().lower() for line in lines)
        yield WordList(name=f"{SYSTEM_WORDS}, {len(words):,} words", words=words)
