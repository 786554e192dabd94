"""One symbol at a time by the kernel (model/kernels), in the arithmetic of the training.

A step of one passage takes what reading the weights takes: in bfloat16 they are half as long.

Shapes: B passages, V vocabulary, E embedding, H hidden, S hidden padded to a multiple of 16,
P = 4 S gates.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.kernels.library import kernel
from model.kernels.lstm import LSTMLayer, SingleSteps
from model.network.base import State
from model.network.stepping import MAX_TABLE_VALUES, LayersStepper
from model.network.tied import TiedOutput


def can_step_fused(layers: Sequence[LSTMLayer], embedding: nn.Embedding) -> bool:
    """Return whether a network can be stepped by the kernel: it was trained by it, and it is here.

    A vocabulary too large for a table of what each symbol gives the first layer is torch's.
    """
    num_values = embedding.num_embeddings * 4 * layers[0].hidden_size
    is_small = embedding.weight.device.type == "cpu" and num_values <= MAX_TABLE_VALUES
    return is_small and layers[0].is_fused and kernel() is not None


class FusedStepper(LayersStepper):
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
            norms: What is applied to each layer's output on its way up.
            embedding: V rows.
            output: From the last layer to V logits.
            state: Hidden and cell state, each (L, B, H).
        """
        self._norms = norms
        self._layers = [
            SingleSteps(layer, reads_layer=number > 0) for number, layer in enumerate(layers)
        ]
        first = self._layers[0].weights
        self._beyond = (0, first.size - output.in_features)
        hidden_LBH, cell_LBH = state
        self._hidden = [*first.padded(hidden_LBH).bfloat16().unbind()]
        self._cell = [*first.padded(cell_LBH).float().unbind()]
        self._table_VP = embedding.weight.bfloat16() @ first.inputs_PI.T
        self._output_SV = first.padded(output.weight).T.contiguous()
        self._output_bias_V = output.bias.clone()  # no parameter: a step needs no gradients

    def step(self, symbols_B: Tensor) -> Tensor:
        """Return the logits (B, V) after one more symbol of each passage."""
        gates_BP, values_BS = self._table_VP.index_select(0, symbols_B), None
        for number, (layer, norm) in enumerate(zip(self._layers, self._norms, strict=True)):
            if values_BS is not None:
                gates_BP = torch.zeros_like(gates_BP)
            values_BS, self._cell[number] = layer.step(
                gates_BP, values_BS, self._hidden[number], self._cell[number]
            )
            self._hidden[number] = values_BS
            if not isinstance(norm, nn.Identity):
                values_BS = self._normed(norm, values_BS)
        assert values_BS is not None
        return torch.addmm(self._output_bias_V, values_BS.float(), self._output_SV)

    @torch.inference_mode()
    def _normed(self, norm: nn.Module, values_BS: Tensor) -> Tensor:
        values_BH = norm(values_BS[:, : values_BS.shape[1] - self._beyond[1]].float())
        return functional.pad(values_BH, self._beyond).bfloat16()
