"""Dynamic evaluation: a network that keeps learning from the text on which it is scored.

After each segment of the passage has been scored, the weights take a gradient step on it. The
result is the cost of a text from which the network may learn as it reads. The network itself
does not change.

Shapes: N symbols of a passage, V vocabulary.
Source: Krause 2018, "Dynamic Evaluation of Neural Sequence Models", arXiv:1709.07432, section 5
(gradients divided by the root of their mean square on the training text).
"""

import copy
import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from model.network.stream import StreamNetwork
from model.scoring.layout import MAX_DYNAMIC_SYMBOLS, WARM_UP_SYMBOLS
from model.text.streams import EncodedCorpus
from model.text.vocabulary import Symbols

LEARNING_RATES = (0.0, 1e-4, 2e-4, 4e-4)
"""Tried on the beginning of the validation passage; 0 is for networks that get worse if they keep
learning. The source's decay towards the trained weights never helped (LOG.md)."""
TRIED_SYMBOLS = 4_096
SEGMENT_SYMBOLS = 20
_SEGMENTS = 300
"""Number of training segments over which the gradients' mean squares are taken."""
_LEAST_ROOT = 0.3
"""Smallest root mean square, as a multiple of its tensor's mean. Rows of symbols that the segments
lack have a root of 0, and one step would make them diverge: word networks lost 0.6 bits instead of
gaining 0.3 (LOG.md)."""
_EPSILON = 1e-5
_SECONDS_A_SYMBOL, _SECONDS_A_SYMBOL_AND_PARAMETER = 0.1e-3, 4.3e-10
"""Measured on one busy core: 9.0 s for 14,434 symbols at 1 x 512."""


def dynamic_gain(network: StreamNetwork, corpus: EncodedCorpus, *, seed: int) -> tuple[float, int]:
    """Return the bits that dynamic evaluation saves on the test passage, and the symbols scored.

    Args:
        network: The network; it does not change.
        corpus: Its streams.
        seed: Seed for drawing the segments of the training text.

    Returns:
        Bits saved on the passage, or on its first MAX_DYNAMIC_SYMBOLS, in total; and the number of
        symbols scored.
    """
    train, validation, test = (part.symbols for part in corpus.parts)
    root_mean_squares = _root_mean_squares(network, train, seed=seed)
    tried, test = validation[:TRIED_SYMBOLS], test[:MAX_DYNAMIC_SYMBOLS]
    on_validation = {
        rate: _nats(network, tried, train, rate, root_mean_squares) for rate in LEARNING_RATES
    }
    best = min(on_validation, key=lambda rate: on_validation[rate])
    static = _nats(network, test, validation, 0.0, root_mean_squares)
    learning = _nats(network, test, validation, best, root_mean_squares) if best else static
    return (static - learning) / math.log(2), len(test)


def dynamic_seconds(num_parameters: int, *, num_symbols: int) -> float:
    """Estimate the seconds that `dynamic_gain` takes on one CPU core.

    Args:
        num_parameters: Trainable parameters of the network.
        num_symbols: Symbols of the test passage.
    """
    learnt = _SEGMENTS * SEGMENT_SYMBOLS + len(LEARNING_RATES) * TRIED_SYMBOLS
    each = _SECONDS_A_SYMBOL + num_parameters * _SECONDS_A_SYMBOL_AND_PARAMETER
    return (learnt + 1.3 * min(num_symbols, MAX_DYNAMIC_SYMBOLS)) * each


def _nats(
    network: StreamNetwork,
    passage: Symbols,
    context: Symbols,
    learning_rate: float,
    root_mean_squares: list[Tensor],
) -> float:
    """Return the cost of a passage in nats, in total, scored segment by segment."""
    learner = _learner(network)
    parameters = [*learner.parameters()]
    context = context[-WARM_UP_SYMBOLS:]
    text = torch.from_numpy(np.concatenate([context, passage]).astype(np.int64)).to(learner.device)
    first = len(context) - 1
    state = None
    if first:
        with torch.no_grad():
            _, state = learner(text[:first, None])
    nats = torch.zeros((), dtype=torch.float64, device=learner.device)
    for start in range(first, len(text) - 1, SEGMENT_SYMBOLS):
        end = min(start + SEGMENT_SYMBOLS, len(text) - 1)
        with torch.set_grad_enabled(learning_rate > 0):
            logits_T1V, state = learner(text[start:end, None], state)
            loss = functional.cross_entropy(
                logits_T1V[:, 0], text[start + 1 : end + 1], reduction="sum"
            )
        state = tuple(part_LBH.detach() for part_LBH in state)
        nats += loss.detach()  # summed on the device: reading it would block
        if learning_rate > 0:
            gradients = torch.autograd.grad(loss / (end - start), parameters)
            with torch.no_grad():
                for parameter, gradient, root in zip(
                    parameters, gradients, root_mean_squares, strict=True
                ):
                    parameter.sub_(learning_rate * gradient / (root + _EPSILON))
    return float(nats)


def _learner(network: StreamNetwork) -> StreamNetwork:
    """Return a copy without dropout through which gradients can flow.

    cuDNN's LSTM supports them only in training mode; its layers have no dropout of their own.
    """
    learner = copy.deepcopy(network).eval()
    learner.layers.train()
    for module in learner.modules():
        if isinstance(module, torch.nn.RNNBase):
            module.flatten_parameters()  # a copy is not contiguous: cuDNN would compact each call
    return learner


def _root_mean_squares(network: StreamNetwork, train: Symbols, *, seed: int) -> list[Tensor]:
    """Return the root mean square of each weight's gradient on the training text."""
    learner = _learner(network)
    parameters = [*learner.parameters()]
    squares = [torch.zeros_like(parameter) for parameter in parameters]
    length = WARM_UP_SYMBOLS + SEGMENT_SYMBOLS + 1
    starts = np.random.default_rng(seed).integers(0, max(1, len(train) - length), _SEGMENTS)
    for start in starts:
        piece = torch.from_numpy(train[start : start + length].astype(np.int64))
        text = piece.to(learner.device)
        warm = min(WARM_UP_SYMBOLS, len(text) // 2)
        with torch.no_grad():
            _, state = learner(text[:warm, None])
        logits_T1V, _ = learner(text[warm:-1, None], state)
        loss = functional.cross_entropy(logits_T1V[:, 0], text[warm + 1 :])
        for square, gradient in zip(squares, torch.autograd.grad(loss, parameters), strict=True):
            square += gradient**2 / _SEGMENTS
    roots = [square.sqrt() for square in squares]
    return [root.clamp(min=_LEAST_ROOT * root.mean().item()) for root in roots]
