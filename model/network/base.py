"""What the networks of both regimes share, and their dropout.

On the CPU, torch 2.13 draws a mask with one Bernoulli draw per number, 8 to 11 ns each: a tenth of
a training step. Here each number takes 16 bits from numpy's SFC64 and a comparison, 2 ns. The
dropout rate is p to within 1/65,536. On a GPU, torch's own kernel is used.

Source: Srivastava 2014, "Dropout: A Simple Way to Prevent Neural Networks from Overfitting".
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from model.network.kernels.lstm import LSTMLayer

Step = Callable[[Tensor], Tensor]
"""Takes the next symbols (B,) of the passages and returns the logits (B, V) that follow, without
gradients."""
State = tuple[Tensor, ...]
"""Hidden state and, for an LSTM, cell state: each (L, B, H) for a network, (1, B, H) for a layer,
(B, H) for a step."""
_LEVELS = 1 << 16
_DRAWS_PER_WORD = 4


def run_layer(
    layer: Callable[[Tensor, State | None], Any],
    values_TBH: Tensor,
    state: State | None = None,
) -> tuple[Tensor, State]:
    """Run one layer; on a GPU in float32 even under autocast.

    torch 2.13's autocast casts cuDNN's recurrent layers to float16 whatever type was requested
    (_cudnn_rnn_cast_reflatten in aten/src/ATen/cudnn/AutocastRNN.cpp), and nothing here scales
    the loss, so small gradients would be lost. float32 means TF32 there (devices.py).
    """
    if values_TBH.device.type != "cuda":
        result: tuple[Tensor, State] = layer(values_TBH, state)
        return result
    with torch.autocast("cuda", enabled=False):
        result = layer(values_TBH.float(), state)
    return result


class SteppedLayer(nn.Module, ABC):
    """A layer that torch steps through a window."""

    def __init__(self, hidden_size: int, num_states: int) -> None:
        super().__init__()
        self._hidden_size, self._num_states = hidden_size, num_states

    @abstractmethod
    def step(self, input_BI: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the output (B, H) of a step and the parts (B, H) of the state after it."""

    def forward(self, values_TBI: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return the outputs (T, B, H) and the final state; a state of None means zeros."""
        if state is None:
            zeros_BH = values_TBI.new_zeros(values_TBI.shape[1], self._hidden_size)
            parts: State = (zeros_BH,) * self._num_states
        else:
            parts = tuple(part_1BH[0] for part_1BH in state)
        outputs: list[Tensor] = []
        for input_BI in values_TBI.unbind():
            output_BH, parts = self.step(input_BI, parts)
            outputs.append(output_BH)
        return torch.stack(outputs), tuple(part_BH[None] for part_BH in parts)


class Network(nn.Module, ABC):
    """A language model over characters, words or bytes.

    Attributes:
        dropout: Source of the masks; the trainer seeds it at each epoch.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dropout = Dropout()

    @abstractmethod
    def start_text(self, inputs_T: Tensor, num_passages: int) -> tuple[Tensor, Step]:
        """Start passages that continue a text, which is read once for all of them.

        Args:
            inputs_T: The text's indices (T,), int32 or int64, at least one.
            num_passages: B, at least 1.

        Returns:
            The logits (B, V) after the last index, and a function that takes the next
            symbol of each passage (B,) and returns the logits after it. It keeps the state
            between calls; the weights must not change meanwhile.
        """

    def use_kernel(self, kernel: str, precision: str) -> None:
        """Compute LSTM layers with a kernel, "torch" or "fused"; "fused" only if available.

        Args:
            kernel: One of RESOLVED_KERNELS.
            precision: One of RESOLVED_PRECISIONS, that of the network's forward passes.
        """
        fused_dtype = getattr(torch, precision) if kernel == "fused" else None
        for module in self.modules():
            if isinstance(module, LSTMLayer):
                module.fused_dtype = fused_dtype

    def _drop(self, values: Tensor, p: float) -> Tensor:
        return self.dropout(values, p) if self.training else values

    @property
    def device(self) -> torch.device:
        """The device of its parameters."""
        return next(self.parameters()).device

    def num_parameters(self) -> int:
        """Count the trainable parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)


class Dropout:
    """Draws masks from its own generator on a CPU, and from torch's on other devices."""

    def __init__(self) -> None:
        self.seed(0)

    def seed(self, seed: int) -> None:
        """Restart the sequence of masks; the same seed gives the same masks."""
        self._bits = np.random.SFC64(seed)

    def __call__(self, values: Tensor, p: float) -> Tensor:
        """Return the values, a share p of them set to 0 and the rest scaled up.

        Args:
            values: Any shape.
            p: 0 <= p < 1.
        """
        if p == 0:
            return values
        if values.device.type != "cpu":
            return functional.dropout(values, p)
        num_values = values.numel()
        words = self._bits.random_raw(-(-num_values // _DRAWS_PER_WORD))
        kept = torch.from_numpy(words.view(np.uint16)[:num_values] >= round(p * _LEVELS))
        return values * (kept.view(values.shape).to(values.dtype) / (1 - p))
