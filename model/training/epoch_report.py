"""What one epoch of training gave: a line of a history, and what a checkpoint knows of itself."""

import dataclasses
import math

from model.scoring.objective import restored_bits_per_char
from model.text.streams import EncodedCorpus


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EpochReport:
    """What one epoch of training gave.

    Own characters are those of the cleaned text, whether the network reads characters or words.

    Attributes:
        epoch: The first is 1.
        train_nats_per_char: Mean loss over the epoch, dropout on, own characters. With words,
            spelling is in it, by a model that has learnt from the same words.
        val_nats_per_char: Validation loss, natural logarithm, own characters, spelling in it.
        val_own_bits_per_char: The same in bits.
        val_bits_per_char: The objective: restored bits per raw character.
        elapsed_seconds: Seconds spent in training and evaluation since epoch 1 began.
    """

    epoch: int
    train_nats_per_char: float
    val_nats_per_char: float
    val_own_bits_per_char: float
    val_bits_per_char: float
    elapsed_seconds: float

    @classmethod
    def of(
        cls,
        corpus: EncodedCorpus,
        *,
        epoch: int,
        train_nats_per_symbol: float,
        val_nats: float,
        elapsed_seconds: float,
    ) -> "EpochReport":
        """Work out an epoch's report.

        Args:
            corpus: The streams that were read.
            epoch: The first is 1.
            train_nats_per_symbol: Mean training loss of the epoch.
            val_nats: What the network spends on the symbols of the validation passage, in all.
            elapsed_seconds: Seconds since epoch 1 began.
        """
        bit = math.log(2)
        train_nats = train_nats_per_symbol * len(corpus.train) + corpus.train_spelling_bits * bit
        own_nats = val_nats + corpus.validation_spelling_bits * bit
        return cls(
            epoch=epoch,
            train_nats_per_char=train_nats / corpus.num_train_chars,
            val_nats_per_char=own_nats / corpus.num_validation_chars,
            val_own_bits_per_char=own_nats / bit / corpus.num_validation_chars,
            val_bits_per_char=restored_bits_per_char(own_nats / bit, corpus),
            elapsed_seconds=elapsed_seconds,
        )
