"""The peak memory of a training process in bytes: a part computed from its shapes, and a base.

The bytes per parameter are counted; those per activation are measured, because the LSTM's kernels
(oneDNN of torch 2.13) decide what they keep and need. For a GPU the same amount is assumed,
which was never compared with a measurement.
"""

import math

from model.config import TrialConfig
from model.training.cost import (
    TextSizes,
    evaluation_layout,
    layer_weights,
    num_parameters,
    own_cell_of,
    recurrent_weights,
)

MEMORY_FIELDS = (
    *("hidden_size", "num_layers", "batch_size", "sequence_length", "embedding_dim"),
    *("cell", "mogrifier_rounds", "normalization", "cleaning", "unit", "regime", "precision"),
    *("tie_weights", "weight_dropout", "optimizer"),
)
"""The fields on which memory depends."""
_KEPT_BYTES = {"adamw": 20, "adam": 20, "asgd": 16}
"""Per parameter, in float32: weight, gradient, Adam's two moments or asgd's mean, and the weight
of the best epoch."""
_AT_WORK_BYTES = 12
"""Per weight of the active layer: its kernel's copy, and the gradient as it is computed."""
_UNIT_BYTES = {"float32": (50, 33), "bfloat16": (22, 20)}
"""Per unit, time step and column: in the active layer, and kept in every layer for the backward
pass (gates, cell, output, dropout mask and its result). From 1, 2 and 3 layers of 512 by torch's
kernel; ours takes less."""
_STEPPED_UNIT_BYTES = 20
"""The first of the two for other cells, which do not use the LSTM's kernels."""
_AROUND_UNIT_BYTES = 12
"""Kept in addition to an own cell's step: the output, the dropout mask and its result."""
_GATED_BYTES = 12
"""Per number that a round of the Mogrifier gates: the sigmoid, its double and the product."""
_DROPPED_BYTES = 12
"""Per recurrent weight with weight dropout: its mask, the result, and the result's gradient."""
_NORM_UNIT_BYTES = {"float32": (10, 5), "bfloat16": (2, 3)}
"""The same for layer norm."""
_EMBEDDING_BYTES = 27
"""Per number of an embedding and its dropout; 24 in bfloat16, 27 in float32."""
_LOGIT_BYTES = 16
"""Per logit: itself in float32, its log-softmax, its gradient; 11 to 22 measured."""
_EVALUATED_UNIT_BYTES = 20
"""Per unit if there is no backward pass; 10 to 22 measured."""


def checkpoint_bytes(config: TrialConfig, sizes: TextSizes) -> int:
    """Return the host memory of moving a checkpoint to or from a GPU: its tensors and its file."""
    return 2 * _KEPT_BYTES[config.optimizer] * num_parameters(config, sizes.vocabulary_size)


def training_bytes(config: TrialConfig, sizes: TextSizes) -> int:
    """Return the peak memory of training, without what every one of our processes takes.

    It never falls when a field of the configuration grows. It may where the text's sizes do:
    evaluation takes shorter chunks of a larger vocabulary. Precision "auto" counts as float32,
    which takes more.
    """
    stream, hidden_size = config.regime == "stream", config.hidden_size
    precision = "bfloat16" if config.precision == "bfloat16" else "float32"
    at_work, kept = _UNIT_BYTES[precision]
    if config.cell != "lstm":
        at_work = _STEPPED_UNIT_BYTES
    if own := own_cell_of(config):
        kept = math.ceil(own.kept_bytes) + _AROUND_UNIT_BYTES
    if stream and config.normalization == "layer":
        more_at_work, more_kept = _NORM_UNIT_BYTES[precision]
        at_work, kept = at_work + more_at_work, kept + more_kept
    read = config.batch_size * config.sequence_length
    scored = read if stream else config.batch_size
    window = read * hidden_size * (at_work + kept * config.num_layers)
    window += read * (config.embedding_dim if stream else 1) * _EMBEDDING_BYTES
    if config.cell == "mogrifier":
        of_input, of_hidden = -(-config.mogrifier_rounds // 2), config.mogrifier_rounds // 2
        inputs = config.embedding_dim + hidden_size * (config.num_layers - 1)
        gated = of_input * inputs + of_hidden * hidden_size * config.num_layers
        window += read * gated * _GATED_BYTES
    window += scored * sizes.vocabulary_size * _LOGIT_BYTES
    columns, _, steps_at_once = evaluation_layout(config, sizes)
    evaluated = columns * steps_at_once
    evaluation = evaluated * hidden_size * _EVALUATED_UNIT_BYTES
    evaluation += (evaluated if stream else columns) * sizes.vocabulary_size * _LOGIT_BYTES
    order_bytes = 0 if stream else 4 * sizes.train_symbols  # the order of the windows
    dropped = recurrent_weights(config) * _DROPPED_BYTES if config.weight_dropout else 0
    return (
        order_bytes
        + dropped
        + num_parameters(config, sizes.vocabulary_size) * _KEPT_BYTES[config.optimizer]
        + max(layer_weights(config)) * _AT_WORK_BYTES
        + max(window, evaluation)
    )
