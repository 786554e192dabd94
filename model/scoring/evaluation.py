"""Scores a passage: what the network spends on it, every symbol counted once.

The layout of the evaluation is a constant, so the score depends neither on batch_size nor on
sequence_length. The passage is cut into stretches that run side by side; each
enters with the state carried over the WARM_UP_SYMBOLS symbols before it.

Shapes: T time steps, B columns, V vocabulary.
"""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from model.config import TrialConfig
from model.network.base import Network
from model.network.lstm import CharLSTM, WindowLSTM
from model.network.precision import autocast
from model.scoring.layout import WARM_UP_SYMBOLS, WINDOWS_AT_ONCE, chunk_steps, num_columns
from model.scoring.objective import PreparedCorpus
from model.text.cleaning import RAW


def passage_nats(
    model: CharLSTM,
    passage: NDArray[np.integer[Any]],
    *,
    context: NDArray[np.integer[Any]],
    device: torch.device,
) -> float:
    """Return the nats that the network spends on a passage, in all.

    Args:
        model: The network; it is evaluated without dropout and left in training mode.
        passage: Indices (N,), at least one.
        context: The symbols just before the passage, at least one; the first symbol of the
            passage is scored too.
        device: Where the network lies.
    """
    symbols = np.concatenate([context[-WARM_UP_SYMBOLS:], passage])
    num_context = len(symbols) - len(passage)
    column_length = -(-len(passage) // num_columns(len(passage)))
    starts = np.arange(num_context, len(symbols), column_length)
    # Row t of a column predicts position start - WARM_UP_SYMBOLS + t of the symbols.
    positions_TB = starts + np.arange(-WARM_UP_SYMBOLS, column_length)[:, None]
    scored_TB = (np.arange(-WARM_UP_SYMBOLS, column_length)[:, None] >= 0) & (
        positions_TB < len(symbols)
    )
    # Where a short context has no symbol, its first one is repeated.
    inputs_TB = symbols[(positions_TB - 1).clip(0, len(symbols) - 1)]
    targets_TB = symbols[positions_TB.clip(0, len(symbols) - 1)]
    model.eval()
    nats = _scored_nats(
        model,
        torch.from_numpy(inputs_TB.astype(np.int32)).to(device),
        torch.from_numpy(targets_TB.astype(np.int64)).to(device),
        torch.from_numpy(scored_TB).to(device),
    )
    model.train()
    return nats


def network_nats(
    model: Network,
    passage: NDArray[np.integer[Any]],
    *,
    context: NDArray[np.integer[Any]],
    device: torch.device,
) -> float:
    """Return what a network of either regime spends on a passage; see `passage_nats`."""
    if isinstance(model, WindowLSTM):
        return window_passage_nats(model, passage, context=context, device=device)
    assert isinstance(model, CharLSTM)
    return passage_nats(model, passage, context=context, device=device)


@torch.inference_mode()
def window_passage_nats(
    model: WindowLSTM,
    passage: NDArray[np.integer[Any]],
    *,
    context: NDArray[np.integer[Any]],
    device: torch.device,
) -> float:
    """Return what the network of the window regime spends on a passage; see `passage_nats`.

    Each symbol is predicted as in generation: from the window before it, which grows from
    the context until it is whole (WindowLSTM.start_text).
    """
    length = model.window_length
    num_context = min(len(context), length)
    symbols = torch.from_numpy(np.concatenate([context[-length:], passage])).to(device)
    nats = torch.zeros((), dtype=torch.float64, device=device)
    # A row is a window and the symbol after it.
    batches = [symbols[None, : end + 1] for end in range(num_context, min(length, len(symbols)))]
    if len(symbols) > length:
        batches += torch.split(symbols.unfold(0, length + 1, 1), WINDOWS_AT_ONCE)
    model.eval()
    for batch in batches:
        logits_BV = model(batch[:, :-1].T)
        nats += functional.cross_entropy(
            logits_BV.float(), batch[:, -1].long(), reduction="none"
        ).sum(dtype=torch.float64)
    model.train()
    return nats.item()


@torch.inference_mode()
def _scored_nats(
    model: CharLSTM, inputs_TB: Tensor, targets_TB: Tensor, scored_TB: Tensor
) -> float:
    nats = torch.zeros((), dtype=torch.float64, device=inputs_TB.device)
    state = None
    num_steps = chunk_steps(inputs_TB.shape[1], model.output.out_features)
    for start in range(0, len(inputs_TB), num_steps):
        chunk = slice(start, start + num_steps)
        logits_TBV, state = model(inputs_TB[chunk], state)
        losses_TB = functional.cross_entropy(
            logits_TBV.float().flatten(0, 1),
            targets_TB[chunk].flatten(),
            reduction="none",
        ).view_as(targets_TB[chunk])
        nats += losses_TB.masked_fill(~scored_TB[chunk], 0.0).sum(dtype=torch.float64)
    return nats.item()


def score_test_passage(
    network: Network, prepared: PreparedCorpus, config: TrialConfig, *, precision: str | None
) -> float:
    """Return restored bits per raw character of the test passage.

    It is what `val_bits_per_char` is on the validation passage: the network's own bits and the
    price of what the cleaning dropped there; with words, spelling is in it. The passage is
    entered with the state carried over the end of the validation passage.

    Args:
        network: The network.
        prepared: The corpus.
        config: The network's configuration.
        precision: The arithmetic that it was trained and validated in; None is float32.
    """
    corpus, floors = prepared.streams(config), prepared.floors.of_cleaning
    device = next(network.parameters()).device
    with autocast(precision or "float32", device):
        nats = network_nats(network, corpus.test, context=corpus.validation, device=device)
    own_bits = nats / math.log(2) + corpus.test_spelling_bits
    price = floors[RAW].test_bits_per_char - floors[config.cleaning].test_bits_per_char
    return own_bits / corpus.num_raw_test_chars + max(0.0, price)
