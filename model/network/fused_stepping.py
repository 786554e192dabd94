"""One symbol at a time by the kernel (model/network/kernels), in the arithmetic of the training.

A step of one passage takes what reading the weights takes: in bfloat16 they are half as long.

Shapes: B passages, V vocabulary, L layers, H hidden, S hidden padded to a multiple of 16.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from model.network.base import State
from model.network.kernels.library import kernel
from model.network.kernels.lstm import LSTMLayer
from model.network.kernels.steps import SingleSteps
from model.network.stepping import MAX_TABLE_VALUES, Stepper
from model.network.tied import TiedOutput


def can_step_fused(layers: Sequence[LSTMLayer], embedding: nn.Embedding) -> bool:
    """Return whether a network can be stepped by the kernel: it was trained by it, and it is here.

    A vocabulary too large for a table of what each symbol gives the first layer is torch's.
    """
    num_values = embedding.num_embeddings * 4 * layers[0].hidden_size
    is_small = embedding.weight.device.type == "cpu" and num_values <= MAX_TABLE_VALUES
    return is_small and layers[0].is_fused and kernel() is not None


class FusedStepper(Stepper):
    """Steps an LSTM in bfloat16; its weights are copied."""

    @torch.inference_mode()
    def __init__(
        self,
        layers: Sequence[LSTMLayer],
        norms: Sequence[nn.Module],
        embedding: nn.Embedding,
        output: nn.Linear | TiedOutput,
        state: State,
    ) -> None:
        """Go on from a state.

        Args:
            layers: On a CPU that has the kernel.
            norms: What is applied to each layer's output on its way up: layer norm or nothing.
            embedding: V rows.
            output: From the last layer to V logits.
            state: Hidden and cell state, each (L, B, H).
        """
        self._steps = SingleSteps(
            layers,
            [norm if isinstance(norm, nn.LayerNorm) else None for norm in norms],
            embedding.weight,
            output.weight,
            output.bias,
        )
        super().__init__(self._steps.padded_state(*state))

    def step(self, symbols_B: Tensor) -> Tensor:
        """Return the logits (B, V) after one more symbol of each passage."""
        hidden_LBS, cell_LBS = self._state
        logits_BV, hidden_LBS = self._steps.step(symbols_B, hidden_LBS, cell_LBS)
        self._state = (hidden_LBS, cell_LBS)
        return logits_BV
