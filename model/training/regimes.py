"""Two ways of training: which characters a step sees, and what its loss is.

`stream`: truncated back-propagation through time. The training text is cut into batch_size
contiguous columns; the state is carried from window to window, and every position counts:

    text     a b c d e f g h i j k l m          (batch_size 3)
    columns  a b c d | e f g h | i j k l        each predicts its characters shifted by one
    windows  a b     | e f     | i j            (sequence_length 2), then c d | g h | k l

`window`: the reference's. Every window of sequence_length characters is an example, in a new
random order each epoch, and only the character after it is predicted. It does not read words.

Source of the resets: Melis 2018, "On the State of the Art of Evaluation in Neural Language
Models", arXiv:1707.05589.

Shapes: T time steps, B columns or windows, V vocabulary, N characters, L layers, H hidden.
"""

import math
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from model.config import TrialConfig
from model.network.base import Network, State
from model.network.lstm import WindowLSTM, build_network
from model.network.stream import StreamNetwork
from model.text.streams import EncodedCorpus
from model.text.vocabulary import Symbols
from model.training.optimizer import make_optimizer
from model.training.schedule import peak_learning_rate

RESET_PROBABILITY = 0.05
"""Probability that a column starts a window with a state of zeros. Otherwise it would do so only
once per report, and a network may have states that it never leaves, in which a passage starts."""


class Columns:
    """A text cut into columns, sliced as they are read: the text is not copied.

    Row t holds inputs and row t + 1 their targets; every symbol but the first is predicted once.
    Where the text does not fill the last columns, they hold the padding symbol.
    """

    def __init__(self, text_N: Tensor, batch_size: int, *, padding: int) -> None:
        """Cut a text (N,) into columns (num_steps + 1, B)."""
        self._text_N = text_N
        self._padding = padding
        self.num_steps = math.ceil((len(text_N) - 1) / batch_size)
        self._starts_B = self.num_steps * torch.arange(batch_size, device=text_N.device)

    def rows(self, start: int, num_rows: int) -> Tensor:
        """Return the rows (T, B) from `start` on, fewer at the end."""
        end = min(start + num_rows, self.num_steps + 1)
        rows_T = torch.arange(start, end, device=self._text_N.device)
        places_TB = rows_T[:, None] + self._starts_B
        last = len(self._text_N) - 1
        symbols_TB = self._text_N[places_TB.clamp(max=last)].long()
        return symbols_TB.masked_fill_(places_TB > last, self._padding)


class StreamRegime:
    """Truncated back-propagation through time over columns, with the state carried over."""

    def __init__(self, config: TrialConfig, corpus: EncodedCorpus, device: torch.device) -> None:
        network = build_network(config, len(corpus.vocabulary)).to(device)
        assert isinstance(network, StreamNetwork)
        self.network = network
        self._config = config
        # The text stays in its smallest type: 1 byte per character for up to 255, 2 per word.
        self._padding = len(corpus.vocabulary)
        symbols_N = _read_only(corpus.train.symbols).to(device)
        self._columns = Columns(symbols_N, config.batch_size, padding=self._padding)
        self.steps_per_epoch = math.ceil(self._columns.num_steps / config.sequence_length)
        self.optimizer = _optimizer(config, network, self.steps_per_epoch)
        self._state: State | None = None
        self._resets = torch.Generator()  # on the CPU: the same on each device

    def begin_report(self, seed: int, *, epoch_seed: int) -> None:
        """Reset the state to zeros and seed this report's dropout and resets."""
        self._state = None
        self._resets.manual_seed(seed)
        self.network.dropout.seed(seed)

    def loss(self, step: int) -> tuple[Tensor, Tensor]:
        """Return the mean loss over the window of a step."""
        length = self._config.sequence_length
        symbols_TB = self._columns.rows(step * length, length + 1)
        targets = symbols_TB[1:].flatten()
        # Padding is not a symbol; as an input, it is followed only by padding.
        inputs_TB = symbols_TB[:-1].clamp(max=self._padding - 1)
        logits_TBV, state = self.network(inputs_TB, self._state)
        drawn_B1 = torch.rand(inputs_TB.shape[1], 1, generator=self._resets)
        # A blocking copy would make the host wait for the GPU at every step.
        keeps_B1 = (drawn_B1 >= RESET_PROBABILITY).to(logits_TBV.device, non_blocking=True)
        self._state = tuple(part_LBH.detach() * keeps_B1 for part_LBH in state)
        logits = logits_TBV.flatten(0, 1).float()
        loss = functional.cross_entropy(logits, targets, ignore_index=self._padding)
        return loss, (targets != self._padding).sum()


class WindowRegime:
    """The reference's training: shuffled windows, Keras' Adam, nothing else."""

    def __init__(self, config: TrialConfig, corpus: EncodedCorpus, device: torch.device) -> None:
        network = build_network(config, len(corpus.vocabulary)).to(device)
        assert isinstance(network, WindowLSTM)
        self.network = network
        self.optimizer = make_optimizer(
            torch.optim.Adam,
            [p for p in self.network.parameters() if p.requires_grad],
            lr=config.learning_rate,
            eps=1e-7,
            fused=True,
        )
        self._batch_size = config.batch_size
        symbols_N = _read_only(corpus.train.symbols).to(device)
        # A view: no window is copied before the step that reads it.
        self._windows = symbols_N.unfold(0, config.sequence_length + 1, 1)
        self.steps_per_epoch = math.ceil(len(self._windows) / config.batch_size)
        self._order = torch.zeros(0)

    def begin_report(self, seed: int, *, epoch_seed: int) -> None:
        """Draw the epoch's order of windows and seed this report's dropout."""
        order = np.arange(len(self._windows), dtype=np.int32)
        np.random.Generator(np.random.PCG64(epoch_seed)).shuffle(order)
        self._order = torch.from_numpy(order).to(self._windows.device)
        self.network.dropout.seed(seed)

    def loss(self, step: int) -> tuple[Tensor, Tensor]:
        """Return the mean loss over the windows of a step."""
        chosen = self._order[step * self._batch_size : (step + 1) * self._batch_size]
        symbols_TB = self._windows[chosen].T
        logits_BV = self.network(symbols_TB[:-1])
        loss = functional.cross_entropy(logits_BV.float(), symbols_TB[-1].long())
        return loss, torch.full((), len(chosen), device=loss.device)


def build_regime(
    config: TrialConfig, corpus: EncodedCorpus, device: torch.device
) -> StreamRegime | WindowRegime:
    """Return a configuration's regime, with an untrained network.

    A report's steps depend only on its seeds and on the weights before them.
    """
    if config.regime == "window":
        return WindowRegime(config, corpus, device)
    return StreamRegime(config, corpus, device)


def _optimizer(
    config: TrialConfig, network: Network, steps_per_epoch: int
) -> torch.optim.Optimizer:
    """Return the optimiser of a stream-regime network.

    asgd is SGD that is scored with the mean of its weights over the last steps (Polyak & Juditsky
    1992), like AWD-LSTM (Merity 2018, section 3) except for when averaging starts: there, when
    scores stop improving; here, when the other optimisers' learning rate starts to fall.
    So the start depends only on the configuration, and ASHA's rungs compare trials before it.
    """
    kind: type[torch.optim.Optimizer]
    settings: dict[str, Any] = {
        "lr": peak_learning_rate(config),
        "weight_decay": config.weight_decay,
    }
    if config.optimizer == "asgd":
        num_steps = config.epochs * steps_per_epoch
        kind, settings["lambd"] = torch.optim.ASGD, 0.0
        # torch 2.13 starts the mean with the weights after step t0 + 2.
        settings["t0"] = round(num_steps * (1 - config.decay_fraction)) - 1
        # Otherwise torch 2.13 reads each parameter's step from the GPU, and waits.
        settings["capturable"] = network.device.type == "cuda"
    else:
        kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
        settings["fused"] = True
    return make_optimizer(kind, network.parameters(), **settings)


def _read_only(symbols: Symbols) -> Tensor:
    """Return symbols as a tensor that is never written to: they may lie in Ray's object store."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(symbols)
