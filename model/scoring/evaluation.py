"""Scores a passage: what it costs under the network, with every symbol counted once.

The layout of the evaluation is a constant, so the score depends neither on batch_size nor on
sequence_length. The passage is cut into columns that are scored in parallel; each
starts with the state carried over the WARM_UP_SYMBOLS symbols before it.

Shapes: T time steps, B columns, V vocabulary.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from model.config import TrialConfig
from model.network.base import Network
from model.network.lstm import WindowLSTM
from model.network.precision import autocast
from model.network.stream import StreamNetwork
from model.scoring.layout import WARM_UP_SYMBOLS, WINDOWS_AT_ONCE, chunk_steps, num_columns
from model.scoring.mixture import Mixture, mixed_nats
from model.scoring.objective import PreparedCorpus, restored_bits_per_char
from model.text.ngram import Ngram
from model.text.vocabulary import Symbols


def symbol_nats(model: Network, passage: Symbols, *, context: Symbols) -> NDArray[np.float64]:
    """Return the cost in nats of each symbol of a passage (N,) under a network of any kind.

    Args:
        model: The network; it is left in evaluation mode.
        passage: Indices (N,), at least one.
        context: The symbols just before the passage, at least one; the first symbol of the
            passage is scored too.
    """
    model.eval()
    if isinstance(model, Mixture):
        parts = [symbol_nats(member, passage, context=context) for member in model.networks]
        if model.ngram is not None:
            parts.append(model.ngram.nats(passage, context=context))
        return mixed_nats(np.stack(parts), model.weights)
    if isinstance(model, WindowLSTM):
        return _window_nats(model, passage, context=context)
    assert isinstance(model, StreamNetwork)
    inputs_TB, targets_TB, places_TB, is_scored_TB = _columns(passage, context)
    losses_TB = _losses(model, inputs_TB, targets_TB)
    nats_N = np.empty(len(passage))
    nats_N[places_TB[is_scored_TB]] = losses_TB[is_scored_TB]
    return nats_N


def cold_nats(model: Network, texts_TB: Symbols) -> NDArray[np.float64]:
    """Return the cost in nats of each symbol of a batch of texts, except their first symbols.

    Nothing precedes the first symbol: a network that carries a state starts without one.

    Args:
        model: The network; it is left in evaluation mode.
        texts_TB: Indices (T, B), at least two steps.

    Returns:
        Nats (T - 1, B).
    """
    model.eval()
    if isinstance(model, Mixture):
        parts = [cold_nats(member, texts_TB) for member in model.networks]
        if model.ngram is not None:
            parts.append(ngram_cold_nats(model.ngram, texts_TB))
        return mixed_nats(np.stack(parts), model.weights)
    if isinstance(model, StreamNetwork):
        return _losses(model, texts_TB[:-1], texts_TB[1:])
    assert isinstance(model, WindowLSTM)
    nats = [_window_nats(model, text[1:], context=text[:1]) for text in texts_TB.T]
    return np.stack(nats, axis=1)


def ngram_cold_nats(ngram: Ngram, texts_TB: Symbols) -> NDArray[np.float64]:
    """Return the same as `cold_nats`, for an n-gram (T - 1, B)."""
    columns = [ngram.nats(text[1:], context=text[:1]) for text in texts_TB.T]
    return np.stack(columns, axis=1)


@torch.inference_mode()
def _window_nats(model: WindowLSTM, passage: Symbols, *, context: Symbols) -> NDArray[np.float64]:
    """Return the cost in nats of each symbol under a window-regime network; see `symbol_nats`.

    Each symbol is predicted as in generation: from the window before it, which grows with
    the context until it is full (WindowLSTM.start_text).
    """
    length = model.window_length
    num_context = min(len(context), length)
    symbols = torch.from_numpy(np.concatenate([context[-length:], passage])).to(model.device)
    # A row is a window and the symbol after it.
    batches = [symbols[None, : end + 1] for end in range(num_context, min(length, len(symbols)))]
    if len(symbols) > length:
        batches += torch.split(symbols.unfold(0, length + 1, 1), WINDOWS_AT_ONCE)
    losses = [
        functional.cross_entropy(
            model(batch[:, :-1].T).float(), batch[:, -1].long(), reduction="none"
        )
        for batch in batches
    ]
    return torch.cat(losses).double().cpu().numpy()


def _columns(
    passage: Symbols, context: Symbols
) -> tuple[Symbols, Symbols, Symbols, NDArray[np.bool_]]:
    """Lay a passage out as parallel columns, each preceded by the symbols before it.

    Returns:
        The inputs and the targets (T, B), the position of each target in the passage, and whether
        it is scored.
    """
    symbols = np.concatenate([context[-WARM_UP_SYMBOLS:], passage])
    num_context = len(symbols) - len(passage)
    column_length = -(-len(passage) // num_columns(len(passage)))
    starts = np.arange(num_context, len(symbols), column_length)
    # Row t of a column predicts position start - WARM_UP_SYMBOLS + t of the symbols.
    steps_T1 = np.arange(-WARM_UP_SYMBOLS, column_length)[:, None]
    places_TB = starts + steps_T1
    is_scored_TB = (steps_T1 >= 0) & (places_TB < len(symbols))
    # Where a short context has no symbol, its first symbol is repeated.
    inputs_TB, targets_TB = (
        symbols[places.clip(0, len(symbols) - 1)] for places in (places_TB - 1, places_TB)
    )
    return inputs_TB, targets_TB, places_TB - num_context, is_scored_TB


@torch.inference_mode()
def _losses(model: StreamNetwork, inputs_TB: Symbols, targets_TB: Symbols) -> NDArray[np.float64]:
    """Return the cost in nats of each target (T, B)."""
    losses: list[Tensor] = []
    state = None
    num_steps = chunk_steps(inputs_TB.shape[1], model.output.out_features)
    for start in range(0, len(inputs_TB), num_steps):
        chunk = slice(start, start + num_steps)
        inputs = torch.from_numpy(inputs_TB[chunk].astype(np.int32)).to(model.device)
        targets = torch.from_numpy(targets_TB[chunk].astype(np.int64)).to(model.device)
        logits_TBV, state = model(inputs, state)
        losses_N = functional.cross_entropy(
            logits_TBV.float().flatten(0, 1), targets.flatten(), reduction="none"
        )
        losses.append(losses_N.view_as(targets))
    return torch.cat(losses).double().cpu().numpy()


def held_out_nats(
    network: Network,
    prepared: PreparedCorpus,
    config: TrialConfig,
    *,
    precision: str,
    is_test: bool,
    max_symbols: int | None,
) -> NDArray[np.float64]:
    """Return the cost in nats of each symbol of the validation or the test passage (N,).

    Args:
        network: The network; it is left in evaluation mode.
        prepared: The corpus.
        config: The network's configuration.
        precision: The precision in which it was trained and validated.
        is_test: Whether to score the test passage.
        max_symbols: Only this many symbols of a longer passage are scored; None means all.
    """
    corpus = prepared.streams(config)
    passage, context = corpus.validation, corpus.train
    if is_test:
        passage, context = corpus.test, corpus.validation
    with autocast(precision, network.device):
        return symbol_nats(network, passage.symbols[:max_symbols], context=context.symbols)


def score_test_passage(
    network: Network, prepared: PreparedCorpus, config: TrialConfig, *, precision: str
) -> float:
    """Return restored bits per raw character of the test passage.

    This is `val_bits_per_char` for the test passage: the network's own bits plus the price of
    what the cleaning dropped there, and for words the bits of spelling. The network enters the
    passage with the state carried over the end of the validation passage. For the arguments, see
    `held_out_nats`.
    """
    nats = held_out_nats(
        network, prepared, config, precision=precision, is_test=True, max_symbols=None
    )
    test = prepared.streams(config).test
    return restored_bits_per_char(float(nats.sum()) / math.log(2) + test.spelling_bits, test)


def score_cold_windows(
    network: Network,
    prepared: PreparedCorpus,
    config: TrialConfig,
    *,
    precision: str | None,
    length: int,
) -> float | None:
    """Return `score_test_passage` for windows that nothing precedes.

    They are adjacent, so each symbol is scored once; the random windows that others use have the
    same mean. Returns None if the passage is shorter than a window.

    Args:
        network: The network; it is left in evaluation mode.
        prepared: The corpus.
        config: The network's configuration.
        precision: As in `held_out_nats`.
        length: Number of scored symbols in a window, at least 1: all but its first.
    """
    test = prepared.streams(config).test
    num_windows = (len(test.symbols) - 1) // length
    if num_windows < 1:
        return None
    places_TB = np.arange(num_windows) * length + np.arange(length + 1)[:, None]
    with autocast(precision or "float32", network.device):
        nats_TB = cold_nats(network, test.symbols[places_TB])
    own_bits = float(nats_TB.mean()) / math.log(2) * len(test.symbols)
    return restored_bits_per_char(own_bits + test.spelling_bits, test)
