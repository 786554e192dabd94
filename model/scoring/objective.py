"""The objective: restored bits per raw character, comparable between cleanings.

A trial with a harsher cleaning predicts an easier text. The chain rule
H(raw) = H(cleaned) + H(raw given cleaned) makes such scores comparable: the network pays the
first term, and the second, the price of restoring what the cleaning dropped, is estimated
once for the study by the n-gram floor model.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from model.config import TrialConfig
from model.errors import CorpusError
from model.scoring.ngram import ORDERS, Passage, ngram_bits
from model.scoring.resemblance import Resemblance, resemblance
from model.text.cleaning import RAW, clean
from model.text.streams import EncodedCorpus, RawSplit, encode_corpus, encode_words, split_text

MAX_TRAIN_CHARS = 2_000_000
"""The floor counts only the last raw characters of a longer training part, to stay within
seconds."""
MAX_SCORED_CHARS = 1_000_000
"""Raw characters of a longer passage on which the floor is measured, for the same reason."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Floor:
    """What the n-gram spends on the passages of one cleaning, in bits per raw character."""

    validation_bits_per_char: float
    test_bits_per_char: float


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PreparedCorpus:
    """A corpus ready for a search: encoded once for each cleaning, with floors and prices.

    Attributes:
        encoded: Cleaning to streams of characters, restoration price included.
        floors: Cleaning to floor; "cased", the raw text, is always among them.
        floor_order: The order of the n-gram, chosen on the raw validation passage.
        resemblance: Of the validation passage to the training part; None for a short text.
    """

    encoded: dict[str, EncodedCorpus]
    floors: dict[str, Floor]
    floor_order: int
    resemblance: Resemblance | None = None

    def streams(self, config: TrialConfig) -> EncodedCorpus:
        """Return the streams of a configuration: of its cleaning, in its unit.

        Streams of words are made by the process that asks, so that this object stays as small
        as the text, and kept there.
        """
        chars = self.encoded[config.cleaning]
        return chars if config.unit == "char" else encode_words(chars, config.min_word_count)


def prepare_corpus(text: str, cleanings: Sequence[str]) -> PreparedCorpus:
    """Split, clean and encode a text, and work out the restoration price of each cleaning.

    Raises:
        CorpusError: The text is too short, or a cleaning keeps too little of it.
    """
    split = split_text(text)
    raw = encode_corpus(split, RAW)
    raw_bits = _floor_bits(split, raw, max_order=max(ORDERS))
    best = int(np.argmin(raw_bits[0]))
    encoded, floors = {}, {}
    floors[RAW] = raw_floor = _floor(raw_bits, split, best)
    for cleaning in cleanings:
        if cleaning == RAW:
            streams, floor = raw, raw_floor
        else:
            streams = encode_corpus(split, cleaning)
            floor = _floor(_floor_bits(split, streams, max_order=best + 1), split, best)
        floors[cleaning] = floor
        price = raw_floor.validation_bits_per_char - floor.validation_bits_per_char
        encoded[cleaning] = dataclasses.replace(streams, restoration_bits_per_char=max(0.0, price))
    return PreparedCorpus(
        encoded=encoded, floors=floors, floor_order=best + 1, resemblance=resemblance(raw)
    )


def restored_bits_per_char(own_bits: float, corpus: EncodedCorpus) -> float:
    """Return `val_bits_per_char`: own bits and restoration price, per raw character.

    Args:
        own_bits: Bits that a model spends on its own cleaned validation passage, in all;
            of a model of words, those of the spelling too.
        corpus: The model's streams.
    """
    return own_bits / corpus.num_raw_validation_chars + corpus.restoration_bits_per_char


def uniform_guess_bits_per_char(corpus: EncodedCorpus) -> float:
    """Return what a uniform guess among a cleaning's characters scores, restored.

    Args:
        corpus: The streams of characters; who reads words can guess characters too.
    """
    own_bits = math.log2(len(corpus.vocabulary)) * len(corpus.validation)
    return restored_bits_per_char(own_bits, corpus)


def check_fits(corpus: EncodedCorpus, *, batch_size: int, sequence_length: int) -> None:
    """Refuse a text with fewer symbols than columns, or shorter than one window.

    No more is needed: columns that the text does not fill are padded, and the last window of a
    column may be short. Words are about a quarter as many as characters, so a whole window for
    each column would be too much to ask of a book.

    Raises:
        CorpusError: The training part is shorter than that.
    """
    needed = max(batch_size, sequence_length) + 1
    if len(corpus.train) < needed:
        raise CorpusError(
            f"the training part must have a symbol to predict for each column of batch_size "
            f"{batch_size} and fill one window of sequence_length {sequence_length}: "
            f"{needed:,} symbols needed, {len(corpus.train):,} left by the cleaning "
            f"{corpus.cleaning!r}"
        )


def _floor(bits: tuple[list[float], list[float]], split: RawSplit, index: int) -> Floor:
    validation, test = bits
    return Floor(
        validation_bits_per_char=validation[index] / min(len(split.validation), MAX_SCORED_CHARS),
        test_bits_per_char=test[index] / min(len(split.test), MAX_SCORED_CHARS),
    )


def _floor_bits(
    split: RawSplit, corpus: EncodedCorpus, *, max_order: int
) -> tuple[list[float], list[float]]:
    """Return what each order spends on the validation and on the test passage, in bits in all.

    Of a long text parts stand for all: the same raw characters whatever the cleaning, or the
    price of a harsh one would be that of another text.
    """
    parts = (
        split.train[-MAX_TRAIN_CHARS:],
        split.validation[:MAX_SCORED_CHARS],
        split.test[:MAX_SCORED_CHARS],
    )
    num_train, num_validation, num_test = (len(clean(part, corpus.cleaning)) for part in parts)
    # Of a validation passage of numbers "letters" can leave less than a context.
    before_test = np.concatenate([corpus.train[-max_order:], corpus.validation[-max_order:]])
    validation, test = ngram_bits(
        corpus.train[len(corpus.train) - num_train :],
        [
            Passage(symbols=corpus.validation[:num_validation], context=corpus.train),
            Passage(symbols=corpus.test[:num_test], context=before_test),
        ],
        vocabulary_size=len(corpus.vocabulary),
        max_order=max_order,
    )
    return validation, test
