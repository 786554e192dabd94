"""From raw text to encoded streams: split by position, clean, number.

The raw text is split before it is cleaned, so every trial is judged on the same passages,
whatever its cleaning.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Callable

from model.errors import CorpusError, UnfitCleaning
from model.text.cleaning import RAW, cleaned_chars
from model.text.common_chars import CommonCharVocabulary
from model.text.packed import Text
from model.text.utf8 import ByteVocabulary
from model.text.vocabulary import Symbols, Vocabulary, char_counts
from model.text.words import Tokens, WordVocabulary

MIN_CORPUS_CHARS = 1_000
"""A shorter corpus leaves a validation passage too small to judge anything."""
MIN_KEPT_FRACTION = 0.5
"""A cleaning that keeps less of a text than this is refused for it."""
AnyVocabulary = Vocabulary | CommonCharVocabulary | WordVocabulary | ByteVocabulary
"""What a network reads: characters, words or bytes."""
STREAMS_KEPT = 4
"""Number of streams in other units than characters that a process keeps; in words a text of 100 MB
takes 50 MB in each."""
TOKENS_KEPT = 3
"""Cleanings whose tokens a process keeps, which vocabularies of any min_word_count are made of;
those of a text of 100 MB take 120 MB."""
MAX_STRANGERS = 40
"""So many of the characters that a network does not know are told."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RawSplit:
    """A raw text in its three parts, in order; each is copied where it is asked for, as a text.

    Attributes:
        text: The whole.
        train_end: Where the training part ends, and the validation passage begins.
        validation_end: Where that ends, and the test passage begins.
    """

    text: Text
    train_end: int
    validation_end: int

    @property
    def places(self) -> tuple[slice, slice, slice]:
        """Where the parts lie in the text."""
        ends = self.train_end, self.validation_end
        return slice(0, ends[0]), slice(*ends), slice(ends[1], len(self.text))

    @property
    def train(self) -> str:
        """The training part."""
        return self.text[self.places[0]]

    @property
    def validation(self) -> str:
        """The validation passage."""
        return self.text[self.places[1]]

    @property
    def test(self) -> str:
        """The test passage."""
        return self.text[self.places[2]]


def split_text(text: Text, lengths: tuple[int, int] | None = None) -> RawSplit:
    """Split a raw text by position.

    Args:
        text: The text.
        lengths: Characters of the training part and of the validation passage; None is 80 % and
            10 % of them.

    Raises:
        CorpusError: The text has fewer than MIN_CORPUS_CHARS characters, or none after its parts.
    """
    if len(text) < MIN_CORPUS_CHARS:
        raise CorpusError(
            f"a corpus must have at least {MIN_CORPUS_CHARS:,} characters, got {len(text):,}"
        )
    train_end, validation_end = len(text) * 8 // 10, len(text) * 9 // 10
    if lengths is not None:
        train_end, validation_end = lengths[0], sum(lengths)
        if validation_end >= len(text):
            raise CorpusError(
                f"a corpus must have more than the {validation_end:,} characters of its training "
                f"part and validation passage, got {len(text):,}"
            )
    return RawSplit(text=text, train_end=train_end, validation_end=validation_end)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Part:
    """A part of a cleaned corpus, encoded.

    What spelling its unknown words costs, or telling its rare characters apart, depends on no
    network: it is a constant of the streams.

    Attributes:
        symbols: Their indices.
        num_chars: Its cleaned characters.
        num_raw_chars: Its raw characters.
        rare_chars: Of a vocabulary of common characters: its rare characters, in order.
        spelling_bits: Price of spelling its unknown words, in all, at least 0. The spelling model
            has learnt from the training part's very words, and never saw the others'.
        restoration_bits_per_char: Price of restoring a raw passage from the cleaned one, in bits
            per raw character, at least 0; the training part has none.
    """

    symbols: Symbols
    num_chars: int
    num_raw_chars: int
    rare_chars: str = ""
    spelling_bits: float = 0.0
    restoration_bits_per_char: float = 0.0

    @property
    def symbols_per_char(self) -> float:
        """Its symbols, for each of its raw characters."""
        return len(self.symbols) / self.num_raw_chars


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EncodedCorpus:
    """One cleaning of a corpus, encoded; symbols are characters, words or bytes.

    Two corpora are equal if they are the same one.

    Attributes:
        cleaning: Name of the cleaning.
        vocabulary: The characters of the whole cleaned text, its common characters, words of its
            training part, or all bytes.
        train: The training part.
        validation: The validation passage.
        test: The test passage.
    """

    cleaning: str
    vocabulary: AnyVocabulary
    train: Part
    validation: Part
    test: Part

    @property
    def parts(self) -> tuple[Part, Part, Part]:
        """The three, in order."""
        return self.train, self.validation, self.test

    @property
    def num_chars(self) -> int:
        """Characters of the whole cleaned text."""
        return sum(part.num_chars for part in self.parts)

    @property
    def num_bytes(self) -> int:
        """What the symbols of all parts take."""
        return sum(part.symbols.nbytes for part in self.parts)

    def in_symbols(
        self, vocabulary: AnyVocabulary, encoded: Callable[[Part], Part]
    ) -> "EncodedCorpus":
        """Return the same corpus in other symbols, each part as a function gives it."""
        train, validation, test = map(encoded, self.parts)
        return dataclasses.replace(
            self, vocabulary=vocabulary, train=train, validation=validation, test=test
        )


def encode_corpus(split: RawSplit, cleaning: str) -> EncodedCorpus:
    """Clean and encode the parts of a split text; the restoration price is left at 0.

    Raises:
        CorpusError: The cleaning is unknown, keeps less than half of the text or one symbol of it.
    """
    text, places = split.text, split.places
    counts = [char_counts(text, place) for place in places]
    cleaned = cleaned_chars(set().union(*counts), cleaning)
    num_kept = [sum(n for char, n in each.items() if cleaned[char]) for each in counts]
    if sum(num_kept) < MIN_KEPT_FRACTION * len(text) or not all(num_kept):
        raise UnfitCleaning(
            cleaning,
            f"a cleaning must keep at least half of the text and something of each part: "
            f"{cleaning!r} keeps {sum(num_kept):,} of {len(text):,} characters",
        )
    vocabulary = Vocabulary(tuple(sorted(set(cleaned.values()) - {""})))
    if len(vocabulary) == 1:
        (symbol,) = vocabulary.symbols
        reason = f"a text must have two different characters, but {cleaning!r} leaves {symbol!r}"
        raise CorpusError(reason) if cleaning == RAW else UnfitCleaning(cleaning, reason)

    def encoded(place: slice) -> Part:
        symbols = vocabulary.encode(text, cleaned, place)
        num_raw_chars = place.stop - place.start
        return Part(symbols=symbols, num_chars=len(symbols), num_raw_chars=num_raw_chars)

    train, validation, test = map(encoded, places)
    return EncodedCorpus(
        cleaning=cleaning, vocabulary=vocabulary, train=train, validation=validation, test=test
    )


def with_common_chars(chars: EncodedCorpus, min_char_count: int) -> EncodedCorpus:
    """Return a corpus of all characters with one symbol for the rare ones, if there are some.

    Args:
        chars: The corpus in characters, each a symbol.
        min_char_count: Least count in the training part of a character that remains one.
    """
    assert isinstance(chars.vocabulary, Vocabulary)
    alphabet = chars.vocabulary
    vocabulary = CommonCharVocabulary.of(
        alphabet.symbols, chars.train.symbols, min_char_count=min_char_count
    )
    if vocabulary is None:
        return chars

    def with_rare(part: Part) -> Part:
        symbols = vocabulary.renumbered(part.symbols)
        rare = alphabet.decode(part.symbols[symbols == len(vocabulary.common)])
        return dataclasses.replace(
            part, symbols=symbols, rare_chars=rare, spelling_bits=vocabulary.spelling_bits(rare)
        )

    return chars.in_symbols(vocabulary, with_rare)


@functools.lru_cache(maxsize=STREAMS_KEPT)
def encode_words(chars: EncodedCorpus, min_word_count: int) -> EncodedCorpus:
    """Return the same corpus in words; made where it is needed, and kept there.

    Args:
        chars: The corpus in characters.
        min_word_count: Least count in the training part of a word that is a symbol.
    """
    tokens = dict(zip(chars.parts, _tokens(chars), strict=True))
    vocabulary = WordVocabulary.of(
        tokens[chars.train], alphabet_of(chars), min_word_count=min_word_count
    )

    def encoded(part: Part) -> Part:
        return dataclasses.replace(
            part,
            symbols=vocabulary.encode_tokens(tokens[part]),
            rare_chars="",
            spelling_bits=vocabulary.spelling_bits_of(tokens[part]),
        )

    return chars.in_symbols(vocabulary, encoded)


@functools.lru_cache(maxsize=TOKENS_KEPT)
def _tokens(chars: EncodedCorpus) -> tuple[Tokens, ...]:
    """Return the tokens of each part of a corpus in characters."""
    return tuple(Tokens.of(text_of(chars, part)) for part in chars.parts)


@functools.lru_cache(maxsize=STREAMS_KEPT)
def encode_bytes(chars: EncodedCorpus) -> EncodedCorpus:
    """Return the same corpus in bytes; made where it is needed, and kept there.

    Args:
        chars: The corpus in characters.
    """
    return encode_in(chars, ByteVocabulary())


def encode_in(chars: EncodedCorpus, vocabulary: AnyVocabulary) -> EncodedCorpus:
    """Return the same corpus in the symbols of a vocabulary, of another text perhaps.

    Args:
        chars: The corpus in characters.
        vocabulary: The symbols.

    Raises:
        CorpusError: The text has characters that the vocabulary has not.
    """
    strangers = "".join(sorted(vocabulary.unknown_chars("".join(alphabet_of(chars)))))
    if strangers:
        raise CorpusError(
            f"a text must be made of the network's characters, got {len(strangers):,} others: "
            f"{strangers[:MAX_STRANGERS]!r}"
        )

    def encoded(part: Part) -> Part:
        text = text_of(chars, part)
        return dataclasses.replace(
            part,
            symbols=vocabulary.encode(text),
            rare_chars=vocabulary.rare_in(text),
            spelling_bits=vocabulary.spelling_bits(text),
        )

    return chars.in_symbols(vocabulary, encoded)


def text_of(chars: EncodedCorpus, part: Part) -> str:
    """Return the cleaned text of a part of a corpus in characters."""
    if isinstance(chars.vocabulary, CommonCharVocabulary):
        return chars.vocabulary.decode(part.symbols, part.rare_chars)
    assert isinstance(chars.vocabulary, Vocabulary)
    return chars.vocabulary.decode(part.symbols)


def alphabet_of(chars: EncodedCorpus) -> tuple[str, ...]:
    """Return the characters of the whole cleaned text of a corpus in characters, sorted."""
    assert not isinstance(chars.vocabulary, ByteVocabulary)
    return chars.vocabulary.alphabet


@functools.lru_cache(maxsize=STREAMS_KEPT)
def training_sha256(corpus: EncodedCorpus) -> str:
    """Return SHA-256 of what is trained and validated on: the same on all machines.

    Kept, for each epoch's checkpoint asks again; 100 MB take 0.06 s.
    """
    digest = hashlib.sha256()
    for stream in (corpus.train.symbols, corpus.validation.symbols):
        digest.update(f"{len(stream)} ".encode())  # where one ends and the next begins
        digest.update(stream.astype(stream.dtype.newbyteorder("<"), copy=False).data)
    return digest.hexdigest()
