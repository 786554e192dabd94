r"""Cuts a text into tokens: words, and every other character alone.

A word is letters, marks and digits, with apostrophes between them ("don't"). Words are as long
as can be, so two of them never touch. That leaves the commonest token for free: a single
space between two words is not written down, and two words in a row are read with a space
between them. Joining the tokens gives the text back, whatever it is. Beside a character of a
script without spaces (Han, kana, Thai) a space is a token, as none is read there.

    text     'Oh dear! Oh dear!'
    tokens   ' Oh dear ! _ Oh dear ! '          (_ is the space after the exclamation mark)

Measured on the reference's book (LOG.md): a third fewer tokens than with every space as one,
and a better score than with each space glued to the word after it, which makes two symbols of
one word.
"""

import dataclasses
import functools
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from model.errors import ConfigError
from model.text.packed import Text
from model.text.spelling import MAX_WORDS, Speller
from model.text.vocabulary import BaseVocabulary, Symbols, char_counts, smallest_type

_APOSTROPHES = "'\N{RIGHT SINGLE QUOTATION MARK}"
_WITHOUT_SPACES = (
    *("CJK ", "IDEOGRAPHIC ", "HIRAGANA ", "KATAKANA", "HALFWIDTH KATAKANA", "YI SYLLABLE "),
    *("COMBINING KATAKANA", "THAI ", "LAO ", "KHMER ", "MYANMAR "),
    *("TAI ", "NEW TAI LUE ", "AHOM "),
)
"""How the Unicode names of characters begin that are written without spaces between words: those
of class SA in Unicode's annex 14 (complex context), and ideographs, kana and Yi of class ID."""
CLAUSES = "this text has no spaces between words: a word is all that stands between two marks"
"""What a reader is told where words are counted in such a text."""
NO_WORDS = "no token occurs min_word_count times: each is spelled, and words are not learnt"
"""What a reader is told where a vocabulary of words has none."""


def is_word_char(char: str) -> bool:
    """Return whether a character is a letter, a mark or a digit, in any script."""
    return unicodedata.category(char)[0] in "LMN"


@functools.lru_cache(maxsize=1 << 16)
def is_of_script_without_spaces(char: str) -> bool:
    """Return whether a character is of a script that puts no spaces between words."""
    return unicodedata.name(char, "").startswith(_WITHOUT_SPACES)


def has_no_spaces_between_words(text: Text) -> bool:
    """Return whether most letters of a text are of scripts without spaces between words."""
    counts = {char: count for char, count in char_counts(text).items() if is_word_char(char)}
    without = sum(count for char, count in counts.items() if is_of_script_without_spaces(char))
    return without > sum(counts.values()) / 2


def tokenize(text: str) -> Iterator[str]:
    """Yield the tokens of a text; a generator, for a list of a long text's would fill memory.

    >>> list(tokenize("'Don't,' said  Alice to it."))
    ["'", "Don't", ',', "'", ' ', 'said', ' ', ' ', 'Alice', 'to', 'it', '.']
    """
    letters = [char for char in sorted(set(text)) if is_word_char(char)]
    spaced_letters = [char for char in letters if not is_of_script_without_spaces(char)]
    # Digits are there anyway: no class may be empty.
    of_word, at_space = (
        f"[0-9{''.join(map(re.escape, chars))}]" for chars in (letters, spaced_letters)
    )
    between_words = f"(?<={at_space}) (?={at_space})"
    token = f"({of_word}+(?:[{_APOSTROPHES}]{of_word}+)*|.)"
    for match in re.finditer(f"{between_words}|{token}", text, re.DOTALL):
        if match[1]:
            yield match[1]


def spaced(token: str, before: str) -> str:
    """Return what a token adds to a text: itself, after a space between two words.

    In a script without spaces there is none: two words are read as one.

    Args:
        token: At least one character.
        before: The text before it, or at least its last character.
    """
    between_words = before and _stands_at_space(before[-1]) and _stands_at_space(token[0])
    return f" {token}" if between_words else token


def _stands_at_space(char: str) -> bool:
    return is_word_char(char) and not is_of_script_without_spaces(char)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Tokens:
    """The tokens of a text, cut once: what any vocabulary of words is made of, and reads.

    Attributes:
        kinds: The different tokens, in the order of the text.
        numbers: For each token of the text, its position in `kinds`.
    """

    kinds: tuple[str, ...]
    numbers: NDArray[np.int32]

    @classmethod
    def of(cls, text: str) -> "Tokens":
        """Cut a text."""
        places: dict[str, int] = {}
        numbers = (places.setdefault(token, len(places)) for token in tokenize(text))
        return cls(numbers=np.fromiter(numbers, dtype=np.int32), kinds=tuple(places))

    def counts(self) -> list[int]:
        """Return how often each kind stands in the text."""
        return np.bincount(self.numbers, minlength=len(self.kinds)).tolist()  # type: ignore[no-any-return]


@dataclasses.dataclass(frozen=True)
class WordVocabulary(BaseVocabulary):
    """The tokens that are symbols, and what spells the others.

    A token's index is its position; the unknown symbol, for every other token, comes last.

    Attributes:
        tokens: Words and single other characters (see words.py), sorted.
        rare_words: What the spelling model learns from: the training text's rare tokens.
        alphabet: The characters of the whole cleaned text, sorted.

    Raises:
        ConfigError: The tokens are not sorted and distinct, one is empty, or the alphabet is.
    """

    tokens: tuple[str, ...]
    rare_words: tuple[str, ...]
    alphabet: tuple[str, ...]
    unit: ClassVar[str] = "word"

    def __post_init__(self) -> None:
        if list(self.tokens) != sorted(set(self.tokens)) or "" in self.tokens:
            raise ConfigError("a vocabulary's tokens must be distinct, sorted and not empty")
        if "" in self.rare_words or any(len(char) != 1 for char in self.alphabet):
            raise ConfigError("rare words must not be empty, an alphabet's characters single")
        alphabet = set(self.alphabet)
        if not alphabet:
            raise ConfigError("an alphabet must not be empty")
        if len(alphabet) < len(self.alphabet) or not alphabet.issuperset("".join(self.rare_words)):
            raise ConfigError("an alphabet must have each character once, rare words no other")

    @classmethod
    def of(
        cls, train: Tokens, alphabet: Iterable[str], *, min_word_count: int
    ) -> "WordVocabulary":
        """The vocabulary of a training text, the only text that is counted.

        The spelling model learns from the tokens that are no symbols, each once. With
        `min_word_count` 1 there are none, and it learns from those that stand in the text once:
        they are what a new word is most like.

        Args:
            train: Of the cleaned training text.
            alphabet: The characters of the whole cleaned text, sorted.
            min_word_count: Least count in the text of a token that is a symbol; at least 1.
        """
        counts = dict(zip(train.kinds, train.counts(), strict=True))
        rare_below = max(min_word_count, 2)
        rare_words = [token for token, count in counts.items() if count < rare_below]
        return cls(
            tokens=tuple(sorted(t for t, count in counts.items() if count >= min_word_count)),
            rare_words=tuple(sorted(rare_words[-MAX_WORDS:])),
            alphabet=tuple(alphabet),
        )

    def __len__(self) -> int:
        return len(self.tokens) + 1

    def encode(self, text: str) -> Symbols:
        """Return the indices of the text's tokens, in the smallest type."""
        return self.encode_tokens(Tokens.of(text))

    def encode_tokens(self, tokens: Tokens) -> Symbols:
        """Return the indices of tokens, in the smallest type."""
        indices = [self._index.get(kind, len(self.tokens)) for kind in tokens.kinds]
        return np.array(indices, dtype=smallest_type(len(self)))[tokens.numbers]

    def encode_prime(self, text: str) -> Symbols:
        """Return the indices of a text that goes on: a space at its end is before a word."""
        ends_in_space = text[-1:] == " " and _stands_at_space(text[-2:-1] or " ")
        return self.encode(text[:-1] if ends_in_space else text)

    def spelling_bits(self, text: str) -> float:
        """Return what spelling the unknown tokens of a text costs, in bits in all."""
        return self.spelling_bits_of(Tokens.of(text))

    def spelling_bits_of(self, tokens: Tokens) -> float:
        """Return what spelling the unknown ones of some tokens costs, in bits in all."""
        counts = zip(tokens.kinds, tokens.counts(), strict=True)
        unknown = {kind: count for kind, count in counts if kind not in self._index}
        bits = self._speller.bits(list(unknown))
        return float(bits @ np.array(list(unknown.values()), dtype=np.float64))

    def writer(self, before: str, uniform: Callable[[], float]) -> Callable[[int], str]:
        """Return what writes one passage: it takes a symbol, and returns what that adds to it.

        An unknown symbol is spelled. Where the text that was learnt has no space at all, none is
        written.

        Args:
            before: The text before the passage.
            uniform: Gives random numbers, 0 <= u < 1.
        """

        def write(symbol: int) -> str:
            nonlocal before
            known = symbol < len(self.tokens)
            token = self.tokens[symbol] if known else self._speller.draw(uniform)
            before = spaced(token, before) if self._has_spaces else token
            return before

        return write

    @functools.cached_property
    def _has_spaces(self) -> bool:
        return " " in self.alphabet

    @functools.cached_property
    def _index(self) -> dict[str, int]:
        return {token: index for index, token in enumerate(self.tokens)}

    @functools.cached_property
    def _speller(self) -> Speller:
        return Speller(self.rare_words, self.alphabet)
