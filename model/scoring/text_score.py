"""What any text costs under a model, in the units in which results are published.

Shapes: N symbols of a text, T steps of a window, B windows.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from model.errors import ConfigError
from model.text.cleaning import clean
from model.text.diagnosis import described_strangers
from model.text.streams import AnyVocabulary
from model.text.utf8 import ByteVocabulary
from model.text.vocabulary import Symbols
from model.text.words import has_no_spaces_between_words

BLOCK_SYMBOLS = 1_000_000
"""Symbols scored at once; a cache restarts with each block, from the end of the one before."""
UNICODE_CHARS = 0x110000
"""Number of code points: an unknown character is one of them."""
SymbolNats = Callable[[Symbols, Symbols], NDArray[np.float64]]
"""Takes a passage (N,) and the symbols before it, returns the cost of each symbol (N,)."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TextScore:
    """What a text costs, and its length in several units.

    Attributes:
        nats: Total cost, spelling and unknown characters included.
        num_symbols: Symbols that the model read.
        num_own_chars: Characters of the cleaned text.
        num_raw_chars: Characters of the text.
        num_bytes: Bytes of the text in UTF-8.
        num_words: Words of the text, separated by whitespace; 0 in scripts without spaces.
        num_unknown_chars: Characters that the vocabulary lacks; they are priced separately.
    """

    nats: float
    num_symbols: int
    num_own_chars: int
    num_raw_chars: int
    num_bytes: int
    num_words: int
    num_unknown_chars: int

    @property
    def bits_per_raw_char(self) -> float:
        """Bits per raw character; what a cleaning dropped is not priced."""
        return self.nats / math.log(2) / self.num_raw_chars

    def figures(self) -> dict[str, float | None]:
        """Return the figures by name; the perplexity is None if words are none, or too long."""
        bits = self.nats / math.log(2)
        return {
            "bits_per_raw_char": self.bits_per_raw_char,
            "bits_per_byte": bits / self.num_bytes,
            "bits_per_own_char": bits / self.num_own_chars,
            "nats_per_own_char": self.nats / self.num_own_chars,
            "perplexity_per_word": self._perplexity_per_word(),
        }

    def _perplexity_per_word(self) -> float | None:
        try:
            return math.exp(self.nats / self.num_words)
        except (ZeroDivisionError, OverflowError):  # above 709 nats a word, a line of DNA say
            return None


def score_text(
    symbol_nats: SymbolNats,
    vocabulary: AnyVocabulary,
    text: str,
    *,
    cleaning: str,
    context: Symbols,
    spell_unknown: bool = False,
) -> TextScore:
    """Score a text; each symbol is predicted from those before it.

    A network starts each column with the state of the symbols before it, as in a search.

    Args:
        symbol_nats: The model.
        vocabulary: Its symbols.
        text: The raw text.
        cleaning: How the model's text is cleaned.
        context: What the model reads before the text, at least one symbol.
        spell_unknown: Whether to price characters that the vocabulary lacks: which code point of
            Unicode each one is, and where they are. The model does not see them.

    Raises:
        ConfigError: Nothing of the text is left, or it has unknown characters.
    """
    cleaned = clean(text, cleaning)
    known, unknown_nats, num_unknown = _without_unknown(cleaned, vocabulary, spell_unknown)
    symbols = vocabulary.encode(known)
    if not len(symbols):
        raise ConfigError(f"a text must have something that the model knows, got {text[:40]!r}")
    nats = unknown_nats
    for start in range(0, len(symbols), BLOCK_SYMBOLS):  # a long text would fill memory
        block = symbols[start : start + BLOCK_SYMBOLS]
        nats += float(symbol_nats(block, context).sum())
        context = block
    nats += vocabulary.spelling_bits(known) * math.log(2)
    return TextScore(
        nats=nats,
        num_symbols=len(symbols),
        num_own_chars=len(cleaned),
        num_raw_chars=len(text),
        num_bytes=len(text.encode()),
        num_words=0 if has_no_spaces_between_words(text) else len(text.split()),
        num_unknown_chars=num_unknown,
    )


def _without_unknown(
    text: str, vocabulary: AnyVocabulary, spell_unknown: bool
) -> tuple[str, float, int]:
    """Return a text without unknown characters, their price in nats, and their number.

    Their positions are coded by enumeration (Cover 1973, "Enumerative source encoding").

    Raises:
        ConfigError: There are some, and they are not to be priced.
    """
    unknown = vocabulary.unknown_chars(text)
    if not unknown:
        return text, 0.0, 0
    assert not isinstance(vocabulary, ByteVocabulary), "a text that was decoded"
    num_unknown = sum(char in unknown for char in text)
    if not spell_unknown:
        raise ConfigError(
            f"a text must be made of the model's characters, but {num_unknown:,} of "
            f"{len(text):,} are not: {described_strangers(text, vocabulary.alphabet)}; "
            f"--unknown spell prices them"
        )
    known = "".join(char for char in text if char not in unknown)
    of_all, of_known, of_unknown = (
        math.lgamma(number + 1) for number in (len(text), len(known), num_unknown)
    )
    where = math.log(len(text) + 1) + of_all - of_known - of_unknown
    which = num_unknown * math.log(UNICODE_CHARS - len(vocabulary.alphabet))
    return known, where + which, num_unknown


def random_windows(symbols: Symbols, *, num_windows: int, length: int, seed: int) -> Symbols:
    """Return random windows of a text (T + 1, B): the first symbol is context, the rest scored.

    Args:
        symbols: Indices (N,) of the text.
        num_windows: B, at least 1.
        length: T, at least 1.
        seed: Seed of their positions.

    Raises:
        ConfigError: The text is shorter than a window.
    """
    if len(symbols) <= length:
        raise ConfigError(
            f"a text must be longer than a window of {length:,} symbols, got {len(symbols):,}"
        )
    starts = np.random.default_rng(seed).integers(0, len(symbols) - length, num_windows)
    windows: Symbols = symbols[starts + np.arange(length + 1)[:, None]]
    return windows
