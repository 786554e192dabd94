"""What an epoch of a configuration costs, from its settings and the sizes of its text alone.

Shapes: T time steps of a window, B columns or windows, V vocabulary, E embedding, H hidden,
L layers.
"""

import dataclasses
import math
from typing import NamedTuple

from model.config import TrialConfig, is_own_cell
from model.errors import CorpusError
from model.scoring.layout import WARM_UP_SYMBOLS, WINDOWS_AT_ONCE, chunk_steps, num_columns
from model.text.streams import EncodedCorpus

_FORWARD_FLOPS, _TRAINING_FLOPS = 2, 6
"""A weight and a symbol: a product and a sum forward; the backward pass takes twice that,
for the gradients of the inputs and those of the weights."""
_FORWARD_SHARE = _FORWARD_FLOPS / _TRAINING_FLOPS
_STEP_ACTIVATIONS, _ROUND_ACTIVATIONS = 6_000, 2_900
"""Activations that take as long as the calls of a time step of a layer that torch steps through,
and of a round of the Mogrifier. These and the next two were fitted on a CPU to the GRU and the
Mogrifier with 2, 5 and 6 rounds, seven shapes each: within a quarter of the measured seconds."""
_STEP_UPDATES = 0.1
"""Parameter updates that take as long as adding up a weight's gradient once a time step."""
_MASK_UPDATES = 1.5
"""Parameter updates that take as long as a weight's mask, and its gradient's way through it."""
_MOGRIFIER_UNITS = 3
"""Activations of a unit of a Mogrifier, for the LSTM's one."""
_UNIT_KEPT_BYTES = 32 / _MOGRIFIER_UNITS
"""What a cell's step keeps of an activation for the backward pass: a Mogrifier's unit keeps 32."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TextSizes:
    """How long an encoded text is.

    Attributes:
        train_symbols: Characters or words of the training part.
        validation_symbols: Those of the validation passage.
        vocabulary_size: Different ones.
        text_bytes: What all its parts take.
    """

    train_symbols: int
    validation_symbols: int
    vocabulary_size: int
    text_bytes: int

    @classmethod
    def of(cls, corpus: EncodedCorpus) -> "TextSizes":
        """Measure an encoded text."""
        return cls(
            train_symbols=len(corpus.train.symbols),
            validation_symbols=len(corpus.validation.symbols),
            vocabulary_size=len(corpus.vocabulary),
            text_bytes=corpus.num_bytes,
        )


class Work(NamedTuple):
    """What there is to do; each kind takes a time of its own (speed.py).

    Attributes:
        calls: Calls of a layer, and one more of all the rest, forward and backward.
        layer_steps: Time steps, one after the other, of each layer.
        flops: Products and sums of the matrix products.
        activations: Numbers that are worked out one by one: of each time step and column the
            embedding and the units of each layer, its norm's again, and the logits.
        parameter_updates: Parameters that the optimiser changes.
    """

    calls: float
    layer_steps: float
    flops: float
    activations: float
    parameter_updates: float


WORK_KINDS = Work._fields


def layer_weights(config: TrialConfig) -> list[int]:
    """Return the weights of each layer, biases not counted."""
    hidden_size = config.hidden_size
    first = config.embedding_dim if config.regime == "stream" else 1
    inputs = [first, *[hidden_size] * (config.num_layers - 1)]
    if is_own_cell(config.cell):
        return [_own_sizes(config, size)[0] for size in inputs]
    rounds = config.mogrifier_rounds if config.cell == "mogrifier" else 0
    return [
        hidden_size * (_num_gates(config) * (size + hidden_size) + rounds * size)
        for size in inputs
    ]


def num_parameters(config: TrialConfig, vocabulary_size: int) -> int:
    """Return the trainable parameters of a configuration's network."""
    stream = config.regime == "stream"
    biases = _num_gates(config) * (2 if stream else 1)  # torch has two a gate, Keras one
    norms = 2 if stream and config.normalization == "layer" else 0
    embedding = vocabulary_size * config.embedding_dim if stream else 0
    output = output_weights(config, vocabulary_size) + vocabulary_size
    if config.tie_weights:
        output -= embedding
    if is_own_cell(config.cell):
        biases = 0
        inputs = (config.embedding_dim, *[config.hidden_size] * (config.num_layers - 1))
        output += sum(_own_sizes(config, size)[1] for size in inputs)
    per_unit = config.num_layers * (biases + norms)
    return embedding + sum(layer_weights(config)) + config.hidden_size * per_unit + output


def output_weights(config: TrialConfig, vocabulary_size: int) -> int:
    """Return the weights that a position's logits take; where they are tied, the embedding's too.

    Tied ones are the embedding and, but for embeddings of H, a projection.
    """
    if not config.tie_weights:
        return vocabulary_size * config.hidden_size
    is_projected = config.embedding_dim != config.hidden_size
    return config.embedding_dim * (vocabulary_size + config.hidden_size * is_projected)


def recurrent_weights(config: TrialConfig) -> int:
    """Return the weights that meet the state before a step, of all layers."""
    return config.num_layers * _num_gates(config) * config.hidden_size**2


def steps_per_epoch(config: TrialConfig, sizes: TextSizes) -> int:
    """Return the optimiser steps of an epoch."""
    per_step = config.sequence_length if config.regime == "stream" else config.batch_size
    return math.ceil(_rows(config, sizes) / per_step)


def check_fits(config: TrialConfig, corpus: EncodedCorpus) -> None:
    """Refuse a configuration that a text is too short for.

    A symbol for each column and one window are enough: columns that the text does not fill are
    padded, and the last window of a column may be short. Words are about a quarter as many as
    characters, so a whole window for each column would be too much to ask of a book.

    Args:
        config: The configuration.
        corpus: The streams of its cleaning, in its unit.

    Raises:
        CorpusError: The training part has fewer symbols than columns, is shorter than one window,
            or there is a report in an epoch without an optimiser step.
    """
    needed = max(config.batch_size, config.sequence_length) + 1
    num_symbols = len(corpus.train.symbols)
    if num_symbols < needed:
        raise CorpusError(
            f"the training part must have a symbol to predict for each column of batch_size "
            f"{config.batch_size} and fill one window of sequence_length "
            f"{config.sequence_length}: {needed:,} symbols needed, {num_symbols:,} left by the "
            f"cleaning {corpus.cleaning!r}"
        )
    num_steps = steps_per_epoch(config, TextSizes.of(corpus))
    if num_steps < config.reports_per_epoch:
        raise CorpusError(
            f"reports_per_epoch must be at most the steps of an epoch, {num_steps} with "
            f"batch_size {config.batch_size}, sequence_length {config.sequence_length} and unit "
            f"{config.unit} on the cleaning {config.cleaning!r}, got {config.reports_per_epoch}"
        )


def time_steps_per_epoch(config: TrialConfig, sizes: TextSizes) -> int:
    """Return the recurrent time steps of training in an epoch, each of a whole batch."""
    if config.regime == "stream":
        return _rows(config, sizes)
    return steps_per_epoch(config, sizes) * config.sequence_length


def step_work(config: TrialConfig, vocabulary_size: int) -> Work:
    """Return what an optimiser step on a full batch takes."""
    length = config.sequence_length
    scored = config.batch_size * (length if config.regime == "stream" else 1)
    return _passes(config, vocabulary_size, 1, length, config.batch_size, scored, training=True)


def epoch_work(config: TrialConfig, sizes: TextSizes) -> Work:
    """Return what an epoch takes, its evaluation included."""
    stream, length = config.regime == "stream", config.sequence_length
    vocabulary_size, passage = sizes.vocabulary_size, sizes.validation_symbols
    training = _passes(
        config,
        vocabulary_size,
        steps_per_epoch(config, sizes),
        time_steps_per_epoch(config, sizes),
        config.batch_size,
        _rows(config, sizes) * (config.batch_size if stream else 1),
        training=True,
    )
    if stream:
        columns = num_columns(passage)
        steps = math.ceil(passage / columns) + WARM_UP_SYMBOLS
        calls, scored = math.ceil(steps / chunk_steps(columns, vocabulary_size)), steps * columns
    else:
        columns = min(passage, WINDOWS_AT_ONCE)
        calls, scored = math.ceil(passage / columns), passage
        steps = calls * length
    times = config.reports_per_epoch
    evaluation = _passes(
        config,
        vocabulary_size,
        times * calls,
        times * steps,
        columns,
        times * scored,
        training=False,
    )
    return Work(*(sum(each) for each in zip(training, evaluation, strict=True)))


def _own_sizes(config: TrialConfig, input_size: int) -> tuple[int, int]:
    """Return the parameters of a layer of the user's own that are matrices, and the other ones."""
    from model.network.own_cells import own_sizes  # torch: the plan needs none without

    return own_sizes(config.cell, input_size, config.hidden_size)


def _num_gates(config: TrialConfig) -> int:
    return 3 if config.cell == "gru" else 4


def _rows(config: TrialConfig, sizes: TextSizes) -> int:
    """Return the time steps that the columns are long, or the number of windows."""
    if config.regime == "stream":
        return math.ceil((sizes.train_symbols - 1) / config.batch_size)
    return sizes.train_symbols - config.sequence_length


def _passes(
    config: TrialConfig,
    vocabulary_size: int,
    calls: int,
    time_steps: int,
    columns: int,
    scored: int,
    *,
    training: bool,
) -> Work:
    """Return what passes through the network take.

    Args:
        config: Of the network.
        vocabulary_size: V.
        calls: How many passes.
        time_steps: Their time steps, all together.
        columns: Columns or windows side by side.
        scored: Positions that have logits, all together.
        training: Whether there is a backward pass and an optimiser.
    """
    num_layers, hidden_size = config.num_layers, config.hidden_size
    read = time_steps * columns
    flops = read * sum(layer_weights(config)) + scored * output_weights(config, vocabulary_size)
    stream = config.regime == "stream"
    units = num_layers * hidden_size * (2 if stream and config.normalization == "layer" else 1)
    rounds, step_activations, updates = 0, 0, 0.0
    if config.cell == "mogrifier":
        rounds = config.mogrifier_rounds
        units += num_layers * hidden_size * (_MOGRIFIER_UNITS - 1)
    if is_own_cell(config.cell):
        from model.network.own_cells import own_cell  # torch: the plan needs none without

        own = own_cell(config.cell)
        units += num_layers * round(hidden_size * (own.kept_bytes / _UNIT_KEPT_BYTES - 1))
        step_activations = round(num_layers * own.step_ratio * _STEP_ACTIVATIONS)
    elif config.cell != "lstm":
        step_activations = num_layers * (_STEP_ACTIVATIONS + rounds * _ROUND_ACTIVATIONS)
    if config.cell != "lstm":
        updates = _STEP_UPDATES * time_steps * sum(layer_weights(config))
    if config.weight_dropout:
        updates += _MASK_UPDATES * calls * recurrent_weights(config)
    share = 1.0 if training else _FORWARD_SHARE
    return Work(
        calls=share * calls * (num_layers + 1),
        layer_steps=share * time_steps * num_layers,
        flops=flops * (_TRAINING_FLOPS if training else _FORWARD_FLOPS),
        activations=share
        * (
            read * (units + config.embedding_dim * stream)
            + scored * vocabulary_size
            + time_steps * step_activations
        ),
        parameter_updates=calls * num_parameters(config, vocabulary_size) + updates
        if training
        else 0,
    )
