"""Measures a text: misspelt words, loops, copied passages. Figures instead of judgement by eye.

A figure alone says little, so each is also computed for passages of the book that the network has
not seen: a good text is as rich in words, as free of loops and as much a copy as the book is of
itself. The shares of distinct words and of repetitions depend on length, so passages of equal
length are compared.

Sources: Welleck 2019, arXiv:1908.04319 (repeated 4-grams); Carlini 2021, arXiv:2012.07805 and
McCoy 2021, arXiv:2111.09509 (what language models copy).
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from model.generation.copying import CopyFinder
from model.generation.word_list import WordList
from model.text.cleaning import clean
from model.text.words import has_no_spaces_between_words, is_word_char, tokenize

PASSAGE_CHARS = 1_000
"""Length of the measured passages: the reference's have 800 to 1,000 characters."""
MAX_BOOK_CHARS = 4_000_000
"""Texts are compared with this much of a longer book, from its beginning. It takes 14 s of a core
and 0.3 GB per cleaning; all of a book of 256 MiB would take 60 times as much."""
_WORD_CHARS = range(3, 21)
"""Lengths of most words of any language; those of DNA, formulas or melodies are others."""
WORDLESS = (
    "the text has no spaces between words, or most of its words have under 3 characters or over 20"
)
"""What a reader is told where words are not measured."""
MAX_PERIOD_CHARS = 200
MIN_LOOP_CHARS = 20
MIN_SPREAD = 0.01
"""Minimum spread assumed for a figure in the book: one character or word in 100."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TextQuality:
    """The figures of a text, or their means over several; None means unknown.

    Attributes:
        book_word_share: Share of its words that occur in the book's training text, ignoring case.
        listed_word_share: Share of its words that are in a word list.
        distinct_word_share: Number of distinct words divided by the number of words.
        repeated_4gram_share: Share of its runs of four words that occur earlier in it.
        loop_share: Share of its characters that repeat what immediately precedes them: a
            stretch of at least MIN_LOOP_CHARS and at least one period.
        longest_copied_chars: Length of its longest passage that is in the training text.
        copied_40gram_share: Share of its windows of 40 characters that are in the training text.
        own_bits_per_char: Cost of the text under the network that wrote it; for any other text,
            its cost under that network.
    """

    book_word_share: float | None = None
    listed_word_share: float | None = None
    distinct_word_share: float | None = None
    repeated_4gram_share: float | None = None
    loop_share: float | None = None
    longest_copied_chars: float | None = None
    copied_40gram_share: float | None = None
    own_bits_per_char: float | None = None


FIGURES = tuple(field.name for field in dataclasses.fields(TextQuality))


class Measure:
    """Measures texts of one cleaning against a book."""

    def __init__(self, book: str | None, *, cleaning: str, word_list: WordList | None) -> None:
        """Read the book.

        Args:
            book: The raw training text; None if it is unavailable. Of a longer text, the first
                MAX_BOOK_CHARS.
            cleaning: How the texts to be measured are cleaned.
            word_list: A word list of the book's language, if there is one.
        """
        cleaned = None if book is None else clean(book[:MAX_BOOK_CHARS], cleaning)
        self._book_words = None if cleaned is None else frozenset(words(cleaned))
        self._copies = None if cleaned is None else CopyFinder(cleaned)
        self._has_words = cleaned is None or _has_words(cleaned)
        self._listed = word_list.cleaned(cleaning).words if word_list else None

    def __call__(self, text: str, *, own_bits_per_char: float | None = None) -> TextQuality:
        """Return the figures of a cleaned text.

        The figures for words are unknown if the book has none (WORDLESS): whole clauses, lines or
        letters would count as words and decide the temperature.

        Args:
            text: The text.
            own_bits_per_char: The text's cost under a network, if measured.
        """
        running = list(words(text)) if self._has_words else []
        return TextQuality(
            book_word_share=_share(running, self._book_words),
            listed_word_share=_share(running, self._listed),
            distinct_word_share=len(set(running)) / len(running) if running else None,
            repeated_4gram_share=repeated_share(running, 4),
            loop_share=loop_share(text),
            longest_copied_chars=self._copies.longest_copied_chars(text) if self._copies else None,
            copied_40gram_share=self._copies.copied_share(text) if self._copies else None,
            own_bits_per_char=own_bits_per_char,
        )


def _has_words(text: str) -> bool:
    """Return whether most words of a text are words of a language."""
    if has_no_spaces_between_words(text):
        return False
    lengths = Counter(map(len, words(text)))
    return 2 * sum(lengths[length] for length in _WORD_CHARS) > lengths.total()


def words(text: str) -> Iterator[str]:
    """Yield the words of a text, in order and in lower case, with straight apostrophes.

    >>> list(words("'Don\N{RIGHT SINGLE QUOTATION MARK}t,' said Alice."))
    ["don't", 'said', 'alice']
    """
    straight = text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return (token for token in tokenize(straight) if is_word_char(token[0]))


def repeated_share(items: Sequence[str], length: int) -> float | None:
    """Return the share of runs of `length` items that occur earlier; None if there is no run.

    >>> repeated_share("a rose is a rose is a rose".split(), 3)
    0.5
    """
    runs = [tuple(items[start : start + length]) for start in range(len(items) - length + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else None


def loop_share(text: str) -> float:
    """Return the share of a text's characters that repeat what immediately precedes them.

    >>> loop_share("the way " * 10)
    0.9
    """
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    looping = np.zeros(len(codes), dtype=np.bool_)
    for period in range(1, min(MAX_PERIOD_CHARS, len(codes) // 2) + 1):
        for start, end in _runs(codes[period:] == codes[:-period]):
            if end - start >= max(period, MIN_LOOP_CHARS):
                looping[start + period : end + period] = True
    return float(looping.mean()) if len(codes) else 0.0


def pieces(text: str, length: int, most: int) -> list[str]:
    """Cut a text into pieces of one length; if there are more than `most`, evenly spaced ones.

    A text shorter than one piece is returned whole.
    """
    if len(text) <= length:
        return [text]
    starts = np.arange(0, len(text) - length + 1, length)
    if len(starts) > most:
        starts = starts[np.linspace(0, len(starts) - 1, most).round().astype(int)]
    return [text[start : start + length] for start in starts]


def mean_quality(qualities: Sequence[TextQuality]) -> TextQuality:
    """Return the means of the figures of several texts."""
    known = {name: _known(qualities, name) for name in FIGURES}
    return TextQuality(**{name: sum(v) / len(v) for name, v in known.items() if v})


def distance(quality: TextQuality, book: Sequence[TextQuality]) -> float:
    """Return how far a text's figures are from those of the book's own passages.

    Each figure's difference from the book's mean is divided by the standard deviation over the
    book's passages (at least MIN_SPREAD; lengths are divided by PASSAGE_CHARS). The
    distance is the root mean square of these. Unknown figures are left out.

    Args:
        quality: The figures of a text, or the means of several.
        book: The figures of passages of the book that the network has not seen, at least one.
    """
    squares = []
    for name in FIGURES:
        value, of_book = getattr(quality, name), _known(book, name)
        if value is None or not of_book:
            continue
        unit = PASSAGE_CHARS if name == "longest_copied_chars" else 1
        spread = max(float(np.std(of_book)) / unit, MIN_SPREAD)
        squares.append(((value - float(np.mean(of_book))) / unit / spread) ** 2)
    assert squares
    return math.sqrt(sum(squares) / len(squares))


def _share(running: Sequence[str], known: frozenset[str] | None) -> float | None:
    if known is None or not running:
        return None
    return sum(word in known for word in running) / len(running)


def _runs(same: NDArray[np.bool_]) -> Iterable[tuple[int, int]]:
    """Return where runs of True begin and end (exclusive); short runs are left out."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], same, [False]])))
    starts, ends = edges[::2], edges[1::2]
    long = ends - starts >= MIN_LOOP_CHARS
    return zip(starts[long].tolist(), ends[long].tolist(), strict=True)


def _known(qualities: Sequence[TextQuality], name: str) -> list[float]:
    values = (getattr(quality, name) for quality in qualities)
    return [value for value in values if value is not None]
