"""What an epoch of a configuration costs, computed only from its settings and its text's sizes.

Shapes: T time steps of a window, B columns or windows, V vocabulary, E embedding, H hidden,
L layers.
"""

import dataclasses
import math
from typing import TYPE_CHECKING, NamedTuple

from model.config import TrialConfig, is_own_cell
from model.errors import CorpusError
from model.scoring.layout import WARM_UP_SYMBOLS, WINDOWS_AT_ONCE, chunk_steps, num_columns
from model.text.streams import EncodedCorpus

if TYPE_CHECKING:
    from model.network.own_cells import OwnCell

_FORWARD_FLOPS, _TRAINING_FLOPS = 2, 6
"""Per weight and symbol: one multiplication and one addition forward; twice that backward,
for the gradients of the inputs and those of the weights."""
_FORWARD_SHARE = _FORWARD_FLOPS / _TRAINING_FLOPS
_STEP_ACTIVATIONS, _ROUND_ACTIVATIONS = 6_000, 2_900
"""Activations that take as long as the calls in a time step of a layer that torch steps through,
and in a round of the Mogrifier. These and the next two were fitted on a CPU to the GRU and the
Mogrifier with 2, 5 and 6 rounds, seven shapes each: within a quarter of the measured seconds."""
_NUM_GATES = {"lstm": 4, "gru": 3, "mogrifier": 4}
"""Built-in cell to the number of H x H matrices that multiply its state at a time step."""
_STEP_UPDATES = 0.1
"""Parameter updates that take as long as adding to a weight's gradient once per time step."""
_MASK_UPDATES = 1.5
"""Parameter updates that take as long as masking a weight, forward and backward."""
_MOGRIFIER_UNITS = 3
"""Activations per unit of a Mogrifier; the LSTM has one."""
_UNIT_KEPT_BYTES = 32 / _MOGRIFIER_UNITS
"""Bytes that a step keeps per activation for the backward pass: 32 for a Mogrifier's unit."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TextSizes:
    """The sizes of an encoded text.

    Attributes:
        train_symbols: Symbols of the training part: characters, words or bytes.
        validation_symbols: Those of the validation passage.
        vocabulary_size: Number of distinct symbols.
        text_bytes: Bytes that all its parts take.
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
    """Amounts of work; each kind takes its own time (speed.py).

    Attributes:
        calls: Calls of a layer, plus one of everything else, forward and backward.
        layer_steps: Sequential time steps of each layer.
        flops: Multiplications and additions of the matrix products.
        activations: Numbers computed elementwise: for each time step and column, the embedding,
            the units of each layer, those of its norm, and the logits.
        parameter_updates: Parameters that the optimiser updates.
    """

    calls: float
    layer_steps: float
    flops: float
    activations: float
    parameter_updates: float


WORK_KINDS = Work._fields


def own_cell_of(config: TrialConfig) -> "OwnCell | None":
    """Return the user's own cell of a configuration; None for a built-in cell.

    Raises:
        ConfigError: The user has not named its file.
    """
    if not is_own_cell(config.cell):
        return None
    from model.network.own_cells import own_cell  # imports torch: only for own cells

    return own_cell(config.cell)


def layer_weights(config: TrialConfig) -> list[int]:
    """Return the number of weights of each layer, without biases."""
    hidden_size, inputs = config.hidden_size, _input_sizes(config)
    if own := own_cell_of(config):
        return [own.sizes(size, hidden_size)[0] for size in inputs]
    rounds = config.mogrifier_rounds if config.cell == "mogrifier" else 0
    return [
        hidden_size * (_NUM_GATES[config.cell] * (size + hidden_size) + rounds * size)
        for size in inputs
    ]


def _input_sizes(config: TrialConfig) -> list[int]:
    """Return the number of inputs of each layer."""
    first = config.embedding_dim if config.regime == "stream" else 1
    return [first, *[config.hidden_size] * (config.num_layers - 1)]


def num_parameters(config: TrialConfig, vocabulary_size: int) -> int:
    """Return the number of trainable parameters of a configuration's network."""
    stream = config.regime == "stream"
    norms = 2 if stream and config.normalization == "layer" else 0
    embedding = vocabulary_size * config.embedding_dim if stream else 0
    output = output_weights(config, vocabulary_size) + vocabulary_size
    if config.tie_weights:
        output -= embedding
    if own := own_cell_of(config):
        biases = 0  # they are among its sizes
        output += sum(own.sizes(size, config.hidden_size)[1] for size in _input_sizes(config))
    else:
        biases = _NUM_GATES[config.cell] * (2 if stream else 1)  # torch has two a gate, Keras one
    per_unit = config.num_layers * (biases + norms)
    return embedding + sum(layer_weights(config)) + config.hidden_size * per_unit + output


def output_weights(config: TrialConfig, vocabulary_size: int) -> int:
    """Return the number of weights in a position's logits; if tied, including the embedding's.

    Tied weights are the embedding and, unless its dimension is H, a projection.
    """
    if not config.tie_weights:
        return vocabulary_size * config.hidden_size
    projected = config.hidden_size if config.embedding_dim != config.hidden_size else 0
    return config.embedding_dim * (vocabulary_size + projected)


def recurrent_weights(config: TrialConfig) -> int:
    """Return the number of weights that multiply the previous hidden state, over all layers."""
    return config.num_layers * _NUM_GATES[config.cell] * config.hidden_size**2


def steps_per_epoch(config: TrialConfig, sizes: TextSizes) -> int:
    """Return the number of optimiser steps in an epoch."""
    per_step = config.sequence_length if config.regime == "stream" else config.batch_size
    return math.ceil(_rows(config, sizes) / per_step)


def check_fits(config: TrialConfig, corpus: EncodedCorpus) -> None:
    """Reject a configuration for which a text is too short.

    One symbol per column and one window are enough: columns that the text does not fill are
    padded, and the last window of a column may be short. A text has about a quarter as many words
    as characters, so a whole window for each column would be too much to ask of a book.

    Args:
        config: The configuration.
        corpus: The streams of its cleaning and its unit.

    Raises:
        CorpusError: The training part has fewer symbols than columns, is shorter than one window,
            or an epoch has more reports than optimiser steps.
    """
    needed = max(config.batch_size, config.sequence_length) + 1
    num_symbols = len(corpus.train.symbols)
    if num_symbols < needed:
        raise CorpusError(
            f"the training part must have a symbol to predict for each column of batch_size "
            f"{config.batch_size} and fill one window of sequence_length "
            f"{config.sequence_length}: {needed:,} symbols needed, {num_symbols:,} {config.unit}s "
            f"left by the cleaning {corpus.cleaning!r}"
        )
    num_steps = steps_per_epoch(config, TextSizes.of(corpus))
    if num_steps < config.reports_per_epoch:
        raise CorpusError(
            f"reports_per_epoch must be at most the steps of an epoch, {num_steps} with "
            f"batch_size {config.batch_size}, sequence_length {config.sequence_length} and unit "
            f"{config.unit} on the cleaning {config.cleaning!r}, got {config.reports_per_epoch}"
        )


def time_steps_per_epoch(config: TrialConfig, sizes: TextSizes) -> int:
    """Return the number of recurrent time steps of training in an epoch, each of a whole batch."""
    if config.regime == "stream":
        return _rows(config, sizes)
    return steps_per_epoch(config, sizes) * config.sequence_length


def step_work(config: TrialConfig, vocabulary_size: int) -> Work:
    """Return the work of an optimiser step on a full batch."""
    length = config.sequence_length
    scored = config.batch_size * (length if config.regime == "stream" else 1)
    return _passes(
        config,
        vocabulary_size,
        calls=1,
        time_steps=length,
        columns=config.batch_size,
        scored=scored,
        training=True,
    )


def epoch_work(config: TrialConfig, sizes: TextSizes) -> Work:
    """Return the work of an epoch, including its evaluation."""
    stream, vocabulary_size = config.regime == "stream", sizes.vocabulary_size
    training = _passes(
        config,
        vocabulary_size,
        calls=steps_per_epoch(config, sizes),
        time_steps=time_steps_per_epoch(config, sizes),
        columns=config.batch_size,
        scored=_rows(config, sizes) * (config.batch_size if stream else 1),
        training=True,
    )
    columns, steps, steps_at_once = evaluation_layout(config, sizes)
    times = config.reports_per_epoch
    evaluation = _passes(
        config,
        vocabulary_size,
        calls=times * math.ceil(steps / steps_at_once),
        time_steps=times * steps,
        columns=columns,
        scored=times * (steps * columns if stream else sizes.validation_symbols),
        training=False,
    )
    return Work(*(sum(each) for each in zip(training, evaluation, strict=True)))


def evaluation_layout(config: TrialConfig, sizes: TextSizes) -> tuple[int, int, int]:
    """Return how evaluation.py scores the validation passage.

    Returns:
        The columns or windows of a batch, the time steps of all passes, and those of one pass.
    """
    passage, length = sizes.validation_symbols, config.sequence_length
    if config.regime == "window":
        columns = min(passage, WINDOWS_AT_ONCE)
        return columns, math.ceil(passage / columns) * length, length
    columns = num_columns(passage)
    steps = math.ceil(passage / columns) + WARM_UP_SYMBOLS
    return columns, steps, min(steps, chunk_steps(columns, sizes.vocabulary_size))


def _rows(config: TrialConfig, sizes: TextSizes) -> int:
    """Return the length of the columns in time steps, or the number of windows."""
    if config.regime == "stream":
        return math.ceil((sizes.train_symbols - 1) / config.batch_size)
    return sizes.train_symbols - config.sequence_length


def _passes(
    config: TrialConfig,
    vocabulary_size: int,
    *,
    calls: int,
    time_steps: int,
    columns: int,
    scored: int,
    training: bool,
) -> Work:
    """Return the work of passes through the network.

    Args:
        config: The network's configuration.
        vocabulary_size: V.
        calls: Number of passes.
        time_steps: Their time steps, in total.
        columns: Columns or windows in a batch.
        scored: Positions that have logits, in total.
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
    if own := own_cell_of(config):
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
