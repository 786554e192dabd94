"""The objective: restored bits per raw character, comparable between cleanings.

A trial with a harsher cleaning predicts an easier text. The chain rule
H(raw) = H(cleaned) + H(raw given cleaned) makes such scores comparable. The network's cost is the
first term. The second, the price of restoring what the cleaning dropped, is estimated
once per study by the n-gram floor model.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from model.config import TrialConfig
from model.errors import ConfigError
from model.scoring.resemblance import Resemblance, resemblance
from model.text.cleaning import RAW, clean
from model.text.grams import Smoothing
from model.text.ngram import Ngram, choose_order
from model.text.packed import Text
from model.text.streams import (
    EncodedCorpus,
    Part,
    RawSplit,
    alphabet_of,
    encode_bytes,
    encode_corpus,
    encode_words,
    split_text,
    with_common_chars,
)

OBJECTIVE_VERSION = 2
"""Scores of different versions are not compared. Version 1 took floor, prices and spelling from
a Witten-Bell n-gram whose order was chosen on validation text; its runs can still be reported."""
MAX_TRAIN_CHARS = 2_000_000
"""For a longer training part, the floor counts only the last raw characters, to stay within
seconds."""
MAX_SCORED_CHARS = 1_000_000
"""Raw characters of a longer passage on which the floor is measured, for the same reason."""
_EQUAL_BITS = 0.005
"""Floors that differ by less are equal; melodies differed by 0.010, DNA by 0.050 (LOG.md)."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Floor:
    """The n-gram's cost of the passages under one cleaning, in bits per raw character."""

    validation_bits_per_char: float
    test_bits_per_char: float


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Floors:
    """The n-gram's figures on one text.

    Attributes:
        order: Its order, chosen on the end of the raw training part.
        of_cleaning: Maps each cleaning to its floor; always contains "cased", the raw text.

    Raises:
        ConfigError: The floor of the raw text is missing, or the order is below 1.
    """

    order: int
    of_cleaning: Mapping[str, Floor]

    def __post_init__(self) -> None:
        if self.order < 1:
            raise ConfigError(f"a floor's order must be at least 1, got {self.order}")
        if RAW not in self.of_cleaning:
            raise ConfigError(f"floors must cover {RAW!r}, got {sorted(self.of_cleaning)}")

    def restoration_bits_per_char(self, cleaning: str, *, is_test: bool = False) -> float:
        """Return the price of restoring a held-out passage, per raw character, at least 0."""
        raw, cleaned = (
            floor.test_bits_per_char if is_test else floor.validation_bits_per_char
            for floor in (self.of_cleaning[RAW], self.of_cleaning[cleaning])
        )
        return max(0.0, raw - cleaned)

    def unpriced(self, cleaning: str) -> str:
        """Return the warning that what a cleaning loses has no price; empty if it has one.

        The n-gram then predicts the cleaned passage no better than the raw one.
        """
        raw, cleaned = self.of_cleaning[RAW], self.of_cleaning.get(cleaning)
        least = raw.validation_bits_per_char + _EQUAL_BITS
        if cleaned is None or cleaned.validation_bits_per_char < least:
            return ""
        return (
            f"the n-gram finds no price for what cleaning {cleaning} loses, so its scores may be "
            f"too good; where case or punctuation matter, use --fix cleaning={RAW}"
        )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PreparedCorpus:
    """A corpus ready for a search: encoded once per cleaning, with floors and prices.

    Attributes:
        encoded: Maps each cleaning to its streams of characters, restoration prices included.
        floors: The n-gram's figures for each cleaning.
        resemblance: How well the validation passage resembles the training part; None for a short
            text.
        location: Where the text can be found again, for checkpoints; None if unknown.
        min_char_count: Rarer characters share a symbol of the streams. It is the same for all
            configurations; otherwise each process would need its own streams.
    """

    encoded: dict[str, EncodedCorpus]
    floors: Floors
    resemblance: Resemblance | None = None
    location: str | None = None
    min_char_count: int = 0

    @property
    def num_bytes(self) -> int:
        """Bytes that the streams of characters take."""
        return sum(each.num_bytes for each in self.encoded.values())

    def streams(self, config: TrialConfig) -> EncodedCorpus:
        """Return the streams of a configuration: those of its cleaning and its unit.

        Streams of words and of bytes are made and kept by the process that asks for them, so that
        this object stays as small as the text.
        """
        chars = self.encoded[config.cleaning]
        if config.unit == "char":
            assert config.min_char_count == self.min_char_count
            return chars
        if config.unit == "byte":
            return encode_bytes(chars)
        return encode_words(chars, config.min_word_count)


def prepare_corpus(
    text: Text,
    cleanings: Sequence[str],
    *,
    floors: Floors | None = None,
    lengths: tuple[int, int] | None = None,
    min_char_count: int = 0,
) -> PreparedCorpus:
    """Split, clean and encode a text, and compute the price of restoring each cleaning.

    Args:
        text: The raw text.
        cleanings: Names of cleanings.
        floors: This text's floors if known: a resumed run is scored as it began.
        lengths: As in `split_text`.
        min_char_count: Rarer characters share a symbol; the n-gram keeps them apart.

    Raises:
        ConfigError: The floors lack a cleaning.
        CorpusError: The text is too short, or a cleaning keeps too little of it.
    """
    split = split_text(text, lengths)
    streams = encode_corpus(split, RAW)
    resembles = resemblance(streams)
    order = floors.order if floors else _order(streams)
    encoded, measured = dict[str, EncodedCorpus](), dict[str, Floor]()
    # One after the other: three copies of a gigabyte would not fit into a laptop's memory.
    for name in dict.fromkeys((RAW, *cleanings)):
        if name != RAW:
            del streams
            streams = encode_corpus(split, name)
        if floors is None:
            measured[name] = measured_floor(split, streams, order)
        if name in cleanings:
            encoded[name] = with_common_chars(streams, min_char_count)
    floors = floors or Floors(order=order, of_cleaning=measured)
    missing = [name for name in cleanings if name not in floors.of_cleaning]
    if missing:
        raise ConfigError(f"floors must cover every cleaning, got none of {missing[0]!r}")
    return PreparedCorpus(
        encoded={name: _priced(encoded[name], floors) for name in cleanings},
        floors=floors,
        resemblance=resembles,
        min_char_count=min_char_count,
    )


def _order(raw: EncodedCorpus) -> int:
    """Return the n-gram order for all cleanings, chosen on the end of the training part."""
    last = raw.train.symbols[-MAX_TRAIN_CHARS:]
    return choose_order(last, vocabulary_size=len(raw.vocabulary))


def _priced(corpus: EncodedCorpus, floors: Floors) -> EncodedCorpus:
    def priced(part: Part, *, is_test: bool) -> Part:
        price = floors.restoration_bits_per_char(corpus.cleaning, is_test=is_test)
        return dataclasses.replace(part, restoration_bits_per_char=price)

    return dataclasses.replace(
        corpus,
        validation=priced(corpus.validation, is_test=False),
        test=priced(corpus.test, is_test=True),
    )


def restored_bits_per_char(own_bits: float, passage: Part) -> float:
    """Return `val_bits_per_char`, or its counterpart for the test passage: own bits plus price.

    Args:
        own_bits: A model's total bits for its own cleaned passage; for a model of words, including
            those of spelling.
        passage: The validation or the test passage of the model's streams.
    """
    return own_bits / passage.num_raw_chars + passage.restoration_bits_per_char


def uniform_guess_bits_per_char(corpus: EncodedCorpus) -> float:
    """Return the restored score of a uniform guess among a cleaning's characters.

    Args:
        corpus: The streams of characters; a model of words could guess characters too.
    """
    own_bits = math.log2(len(alphabet_of(corpus))) * len(corpus.validation.symbols)
    return restored_bits_per_char(own_bits, corpus.validation)


def measured_floor(
    split: RawSplit, corpus: EncodedCorpus, order: int, smoothing: Smoothing = "kneser-ney"
) -> Floor:
    """Measure the floor of one cleaning.

    For a long text, only parts are measured. They are the same raw characters whatever the
    cleaning; otherwise the price of a harsh cleaning would be that of another text.

    Args:
        split: The raw text.
        corpus: Its streams of characters, of one cleaning.
        order: Order of the n-gram.
        smoothing: Smoothing of the n-gram.
    """
    parts = (
        split.text[max(0, split.train_end - MAX_TRAIN_CHARS) : split.train_end],
        split.validation[:MAX_SCORED_CHARS],
        split.test[:MAX_SCORED_CHARS],
    )
    num_train, num_validation, num_test = (len(clean(part, corpus.cleaning)) for part in parts)
    train, validation, test = (part.symbols for part in corpus.parts)
    ngram = Ngram.fit(
        train[len(train) - num_train :],
        vocabulary_size=len(corpus.vocabulary),
        order=order,
        smoothing=smoothing,
    )
    # If the validation passage is all numbers, "letters" can leave less than a context.
    before_test = np.concatenate([train[-order:], validation[-order:]])
    return Floor(
        validation_bits_per_char=ngram.bits(validation[:num_validation], context=train)
        / len(parts[1]),
        test_bits_per_char=ngram.bits(test[:num_test], context=before_test) / len(parts[2]),
    )
