"""An LSTM layer on a CPU with AVX512: torch's products and our own recurrence.

torch computes the products of all steps at once (inputs, and the gradients of the weights), as
fast as our own code would, at 200 GFLOP/s. lstm.cpp computes the recurrence and the gates. Under
autocast all of it is bfloat16: as with torch's LSTM, inputs, weights, outputs and gradients are
rounded, and sums and the cell state stay float32.

Shapes: T time steps, B columns, N = T B, I inputs, H hidden, S hidden padded to a multiple of 16,
G = 4 H gates in torch's order (input, forget, cell, output), P = 4 S the same padded.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from model.network.kernels.library import load_kernel, loaded_kernel

LANES = 16
INNER_VALUES = {torch.float32: 1, torch.bfloat16: 2}
"""Number of values that the kernel multiplies at once, kInner of tiles.h."""


class LSTMLayer(nn.LSTM):
    """torch's LSTM with one layer, which the kernel can compute.

    Attributes:
        fused_dtype: What the kernel computes it in, if available; None means torch's LSTM.
    """

    fused_dtype: torch.dtype | None = None
    weight_ih_l0: nn.Parameter
    weight_hh_l0: nn.Parameter
    bias_ih_l0: nn.Parameter
    bias_hh_l0: nn.Parameter

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.open_forget_gate()

    def open_forget_gate(self) -> None:
        """Set the forget gate's bias to 1, so that the state is kept early in training.

        Source: Jozefowicz 2015, "An Empirical Exploration of Recurrent Network Architectures".
        """
        # The gate order is input, forget, cell, output.
        nn.init.ones_(self.bias_ih_l0.data.chunk(4)[1])

    def forward(  # type: ignore[override]  # torch's also takes packed sequences
        self, values_TBI: Tensor, state: tuple[Tensor, ...] | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the outputs (T, B, H), and the hidden and cell state (1, B, H) after them.

        Args:
            values_TBI: Inputs; the kernel needs at least one step and one column.
            state: Hidden and cell state before; None means zeros.
        """
        is_autocast = torch.is_autocast_enabled("cpu")
        dtype = torch.bfloat16 if is_autocast else torch.float32
        if self.fused_dtype == dtype and values_TBI.device.type == "cpu" and load_kernel(dtype):
            return self._fused(values_TBI.to(dtype), state)
        result: tuple[Tensor, tuple[Tensor, ...]] = super().forward(values_TBI, state)  # type: ignore[arg-type]
        return result

    def _fused(
        self, values_TBI: Tensor, state: tuple[Tensor, ...] | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        if state is None:
            hidden_BH = cell_BH = values_TBI.new_zeros(values_TBI.shape[1], self.hidden_size)
        else:
            hidden_BH, cell_BH = state[0][0], state[1][0]
        outputs_TBH, cell_BH = _FusedLSTM.apply(  # type: ignore[no-untyped-call]  # torch 2.13
            values_TBI, *self.weights(), hidden_BH, cell_BH
        )
        return outputs_TBH, (outputs_TBH[-1:], cell_BH[None])

    def weights(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the weights of inputs (G, I) and of hidden state (G, H), and the bias (G,)."""
        return self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0 + self.bias_hh_l0


class PackedWeights:
    """A layer's weights, laid out as the kernel reads them.

    Attributes:
        size: S.
        inputs_PI: Input weights, in the kernel's dtype.
        bias_4S: Biases, in float32.
        packed: Recurrent weights, for the forward and for the backward pass.
    """

    def __init__(
        self, weight_ih_GI: Tensor, weight_hh_GH: Tensor, bias_G: Tensor, dtype: torch.dtype
    ) -> None:
        self._dtype = dtype
        hidden_size = weight_hh_GH.shape[1]
        self.size = -(-hidden_size // LANES) * LANES
        beyond = self.size - hidden_size
        inputs_4SI = functional.pad(weight_ih_GI.view(4, hidden_size, -1), (0, 0, 0, beyond))
        self.inputs_PI = inputs_4SI.flatten(0, 1).to(dtype)
        self.bias_4S = functional.pad(bias_G.view(4, hidden_size), (0, beyond)).contiguous()
        self.packed = self.pack(weight_hh_GH)

    def pack(self, weight_GH: Tensor) -> Tensor:
        """Pack weights with as many inputs as units in both orders, (2, 4 S S)."""
        packed = torch.empty(2, 4 * self.size * self.size, dtype=self._dtype)
        weight_GH = weight_GH.contiguous()
        pointers = [tensor.data_ptr() for tensor in (weight_GH, *packed)]
        loaded_kernel(self._dtype).lstm_pack(weight_GH.shape[1], self.size, *pointers)
        return packed

    def padded(self, state_BH: Tensor) -> Tensor:
        """Return a state padded to (B, S)."""
        return functional.pad(state_BH, (0, self.size - state_BH.shape[-1]))


class _FusedLSTM(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        values_TBI: Tensor,
        weight_ih_GI: Tensor,
        weight_hh_GH: Tensor,
        bias_G: Tensor,
        hidden_BH: Tensor,
        cell_BH: Tensor,
    ) -> tuple[Tensor, Tensor]:
        num_steps, num_columns, num_inputs = values_TBI.shape
        hidden_size = weight_hh_GH.shape[1]
        dtype = values_TBI.dtype
        weights = PackedWeights(weight_ih_GI, weight_hh_GH, bias_G, dtype)
        values_NI = values_TBI.reshape(-1, num_inputs)
        gates_NP = values_NI @ weights.inputs_PI.T
        shape = (num_steps, num_columns, weights.size)
        hidden_TBS = torch.empty(num_steps + 1, *shape[1:], dtype=dtype)
        cells_TBS = torch.empty(num_steps + 1, *shape[1:])
        hidden_TBS[0], cells_TBS[0] = weights.padded(hidden_BH), weights.padded(cell_BH)
        filled = (weights.packed[0], weights.bias_4S, gates_NP, hidden_TBS, cells_TBS)
        loaded_kernel(dtype).lstm_forward(*shape, *(tensor.data_ptr() for tensor in filled))
        ctx.save_for_backward(
            values_NI,
            weights.inputs_PI,
            weight_hh_GH,
            weights.packed[1],
            gates_NP,
            hidden_TBS,
            cells_TBS,
        )
        return hidden_TBS[1:, :, :hidden_size], cells_TBS[-1, :, :hidden_size]

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, of_outputs_TBH: Tensor, of_cell_BH: Tensor
    ) -> tuple[Tensor | None, ...]:
        values_NI, inputs_PI, weight_hh_GH, packed, gates_NP, hidden_TBS, cells_TBS = (
            ctx.saved_tensors
        )
        num_steps, num_columns, hidden_size = of_outputs_TBH.shape
        size = hidden_TBS.shape[-1]
        of_outputs_TBS = functional.pad(of_outputs_TBH, (0, size - hidden_size)).contiguous()
        of_cell_BS = functional.pad(of_cell_BH, (0, size - hidden_size))
        of_cell_BS = of_cell_BS.clone(memory_format=torch.contiguous_format)  # it is overwritten
        of_gates_NP = torch.empty_like(gates_NP)
        filled = (packed, of_outputs_TBS, gates_NP, cells_TBS, of_cell_BS, of_gates_NP)
        pointers = (tensor.data_ptr() for tensor in filled)
        loaded_kernel(of_gates_NP.dtype).lstm_backward(num_steps, num_columns, size, *pointers)

        def unpadded(of_padded: Tensor) -> Tensor:
            """Return the rows of the real units, (G, ...) in float32."""
            return of_padded.view(4, size, -1)[:, :hidden_size].flatten(0, 1).float()

        of_hidden_BH = None
        if ctx.needs_input_grad[4]:
            first_BG = unpadded(of_gates_NP[:num_columns].T).T
            of_hidden_BH = first_BG @ weight_hh_GH.to(of_gates_NP.dtype).float()
        ones_1N = of_gates_NP.new_ones(1, len(of_gates_NP))
        return (
            (of_gates_NP @ inputs_PI).view(num_steps, num_columns, -1),
            unpadded(of_gates_NP.T @ values_NI),
            unpadded(of_gates_NP.T @ hidden_TBS[:-1].flatten(0, 1))[:, :hidden_size],
            # As a product it takes a sixth of the time of torch 2.13's sum of bfloat16.
            unpadded((ones_1N @ of_gates_NP).T)[:, 0],
            of_hidden_BH,
            of_cell_BS[:, :hidden_size],
        )
