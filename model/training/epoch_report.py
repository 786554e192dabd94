"""The results of training up to a report: a line of the history, and part of a checkpoint.

A report follows each epoch, or for long texts each of several equal parts of an epoch.
"""

import dataclasses
import math

from model.config import whole
from model.scoring.objective import restored_bits_per_char
from model.text.streams import EncodedCorpus


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EpochReport:
    """The results of training since the previous report.

    Own characters are those of the cleaned text, whether the network reads characters or not.

    Attributes:
        report: Counted from 1; 0 means unknown, and becomes the number of the epoch.
        epoch: Passes over the training text so far.
        chars_trained: Raw characters trained on so far, repetitions included; None in runs
            and checkpoints from before it was counted.
        train_nats_per_char: Mean loss since the previous report, with dropout, per own character.
            For words it includes spelling, by a model that has learnt from the same words.
        val_nats_per_char: Validation loss in nats, per own character, including spelling.
        val_own_bits_per_char: The same in bits.
        val_bits_per_char: The objective: restored bits per raw character.
        elapsed_seconds: Seconds of training and evaluation since training began.
    """

    report: int = 0
    epoch: float
    chars_trained: int | None = None
    train_nats_per_char: float
    val_nats_per_char: float
    val_own_bits_per_char: float
    val_bits_per_char: float
    elapsed_seconds: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "epoch", whole(self.epoch))
        object.__setattr__(self, "report", self.report or math.ceil(self.epoch))

    @classmethod
    def of(
        cls,
        corpus: EncodedCorpus,
        *,
        report: int,
        epoch: float,
        train_nats_per_symbol: float,
        val_nats: float,
        elapsed_seconds: float,
    ) -> "EpochReport":
        """Compute a report from the streams that were read.

        `train_nats_per_symbol` is the mean since the previous report; `val_nats` is the network's
        total cost of the validation passage's symbols.
        """
        bit, train, validation = math.log(2), corpus.train, corpus.validation
        train_nats = train_nats_per_symbol * len(train.symbols) + train.spelling_bits * bit
        own_nats = val_nats + validation.spelling_bits * bit
        return cls(
            report=report,
            epoch=epoch,
            chars_trained=round(epoch * train.num_raw_chars),
            train_nats_per_char=train_nats / train.num_chars,
            val_nats_per_char=own_nats / validation.num_chars,
            val_own_bits_per_char=own_nats / bit / validation.num_chars,
            val_bits_per_char=restored_bits_per_char(own_nats / bit, validation),
            elapsed_seconds=elapsed_seconds,
        )
