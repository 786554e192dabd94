"""The LSTM networks of both regimes, and the function that builds a network.

Shapes: T time steps, B columns or windows, V vocabulary, H hidden.
Sources: Hochreiter & Schmidhuber 1997 (LSTM); Keras' defaults in the window regime (Glorot input
weights, orthogonal recurrent weights, one bias per gate, 1 in the forget gate).
"""

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from model.config import TrialConfig
from model.network.base import Network, Step, run_layer
from model.network.cells import cell_layers
from model.network.fused_stepping import FusedStepper, can_step_fused
from model.network.kernels.lstm import LSTMLayer
from model.network.stepping import LSTMStepper, Stepper
from model.network.stream import StreamNetwork

MAX_NUMBERS = 256
"""Largest vocabulary whose indices, divided by its size, bfloat16 can tell apart."""


class CharLSTM(StreamNetwork):
    """The stream network with LSTM layers, which has its own single steps."""

    def start_stepper(self, inputs_TB: Tensor) -> tuple[Tensor, Stepper]:
        """Read a text in one pass; return the logits after it and a stepper that continues."""
        layers = [layer for layer in self.layers if isinstance(layer, LSTMLayer)]
        rest = (list(self.norms), self.embedding, self.output)
        if can_step_fused(layers, self.embedding):
            is_bfloat16 = layers[0].fused_dtype == torch.bfloat16
            with torch.autocast("cpu", torch.bfloat16, enabled=is_bfloat16):
                logits_TBV, state = self(inputs_TB)
            return logits_TBV[-1], FusedStepper(layers, *rest, state)
        logits_TBV, state = self(inputs_TB)
        return logits_TBV[-1], LSTMStepper(layers, *rest, state)


class WindowLSTM(Network):
    """Predicts the character after a window.

    Attributes:
        window_length: T, the number of characters that it was trained to read.
    """

    def __init__(self, config: TrialConfig, vocabulary_size: int) -> None:
        super().__init__()
        self.window_length = config.sequence_length
        self._p = config.dropout
        self._vocabulary_size = vocabulary_size
        self.layers = cell_layers(config, 1)
        self.output = nn.Linear(config.hidden_size, vocabulary_size)
        self._initialise_as_keras()

    def forward(self, windows_TB: Tensor) -> Tensor:
        """Return the logits (B, V) of the character after each window.

        Args:
            windows_TB: Character indices (T, B), any whole-number type.
        """
        values_TBH = (windows_TB.float() / self._vocabulary_size).unsqueeze(-1)
        first, *others = self.layers
        # bfloat16 would leave only 701 distinct inputs for 3,000 symbols.
        is_exact = self._vocabulary_size > MAX_NUMBERS
        with torch.autocast("cpu", enabled=False) if is_exact else nullcontext():
            values_TBH, (last_1BH, _) = run_layer(first, values_TBH)
        for layer in others:
            values_TBH, (last_1BH, _) = run_layer(layer, self._drop(values_TBH, self._p))
        logits_BV: Tensor = self.output(self._drop(last_1BH[0], self._p))
        return logits_BV

    def start_text(self, inputs_T: Tensor, num_passages: int) -> tuple[Tensor, Step]:
        """Read the last window of a text; each step slides the window and reads it again."""
        window_TB = inputs_T[-self.window_length :, None]
        logits_BV: Tensor = self(window_TB).expand(num_passages, -1)
        window_TB = window_TB.expand(-1, num_passages)

        @torch.inference_mode()
        def step(drawn_B: Tensor) -> Tensor:
            nonlocal window_TB
            window_TB = torch.cat([window_TB, drawn_B[None]])[-self.window_length :]
            logits_BV: Tensor = self(window_TB)
            return logits_BV

        return logits_BV, step

    def _initialise_as_keras(self) -> None:
        for layer in self.layers:
            assert isinstance(layer, LSTMLayer)
            nn.init.xavier_uniform_(layer.weight_ih_l0)
            nn.init.orthogonal_(layer.weight_hh_l0)
            nn.init.zeros_(layer.bias_ih_l0)
            layer.open_forget_gate()
            # Keras has one bias per gate; under Adam, two would learn twice as fast.
            nn.init.zeros_(layer.bias_hh_l0)
            layer.bias_hh_l0.requires_grad_(False)
        nn.init.xavier_uniform_(self.output.weight)
        nn.init.zeros_(self.output.bias)


def build_network(config: TrialConfig, vocabulary_size: int) -> Network:
    """Return the untrained network of a configuration, on the CPU."""
    if config.regime == "window":
        return WindowLSTM(config, vocabulary_size)
    network = CharLSTM if config.cell == "lstm" else StreamNetwork
    return network(config, vocabulary_size)


def tensor_shapes(config: TrialConfig, vocabulary_size: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a network's tensors by name, without taking their memory."""
    with torch.device("meta"), _NoDraws():
        tensors = build_network(config, vocabulary_size).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


_DRAWS = (
    nn.init.normal_,
    nn.init.uniform_,
    nn.init.kaiming_uniform_,
    Tensor.normal_,
    Tensor.uniform_,
)


class _NoDraws(TorchFunctionMode):
    """Draws nothing: on the meta device, torch 2.13 imports torch._dynamo for it, 1.7 s."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func in _DRAWS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))
