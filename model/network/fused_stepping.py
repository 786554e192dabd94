"""Steps each passage by one symbol in a single call of the kernel (model/network/kernels).

Everything is in the network's precision as in training; sums, layer norm and the cell state are
float32. With one layer of 256 units, three quarters of a symbol's time went into calls of torch
and ctypes. A step of one passage takes as long as reading the weights, which in bfloat16 are half
the size.

Shapes: L layers, B passages, V vocabulary, W = V padded to a multiple of 64, E embedding,
H hidden, S = H padded to a multiple of 16.
"""

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.network.base import State
from model.network.kernels.library import load_kernel, loaded_kernel
from model.network.kernels.lstm import INNER_VALUES, LSTMLayer, PackedWeights
from model.network.stepping import MAX_TABLE_VALUES, Stepper
from model.network.tied import TiedOutput

_OUTPUT_BLOCK = 64
_LAYER_ARRAYS = ("input_weights", "weights", "bias", "norm_scale", "norm_shift")


class _Layer(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in _LAYER_ARRAYS]


class _Network(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in ("num_layers", "hidden", "size", "vocabulary")),
        ("layers", ctypes.POINTER(_Layer)),
        *((name, ctypes.c_void_p) for name in ("table", "output_weights", "output_bias")),
    ]


def can_step_fused(layers: Sequence[LSTMLayer], embedding: nn.Embedding) -> bool:
    """Return whether the kernel can step a network: it trained the network and is available here.

    torch steps a vocabulary too large for a table of each symbol's input to the first layer.
    """
    dtype = layers[0].fused_dtype
    num_values = embedding.num_embeddings * 4 * layers[0].hidden_size
    is_small = embedding.weight.device.type == "cpu" and num_values <= MAX_TABLE_VALUES
    return is_small and dtype is not None and load_kernel(dtype) is not None


class FusedStepper(Stepper):
    """Steps an LSTM in the dtype that it was trained in; its weights are copied."""

    @torch.inference_mode()
    def __init__(
        self,
        layers: Sequence[LSTMLayer],
        norms: Sequence[nn.Module],
        embedding: nn.Embedding,
        output: nn.Linear | TiedOutput,
        state: State,
    ) -> None:
        """Start from a state; lay the weights out as lstm.cpp reads them.

        Args:
            layers: At least one, on a CPU that has the kernel for their `fused_dtype`.
            norms: Applied to each layer's output before the next: layer norm or identity.
            embedding: Embedding with V rows.
            output: Maps the last layer's output to V logits.
            state: Hidden and cell state, each (L, B, H).
        """
        self._kept: list[Tensor] = []
        dtype = layers[0].fused_dtype
        assert dtype is not None, "layers that torch computes"
        packed = [PackedWeights(*layer.weights(), dtype) for layer in layers]
        structures = (_Layer * len(layers))()
        for number, (weights, norm) in enumerate(zip(packed, norms, strict=True)):
            structure = structures[number]
            if number > 0:
                inputs_GH, *_ = layers[number].weights()
                structure.input_weights = self._pointer(weights.pack(inputs_GH))
            structure.weights = self._pointer(weights.packed)
            structure.bias = self._pointer(weights.bias_4S)
            if isinstance(norm, nn.LayerNorm):
                structure.norm_scale = self._pointer(weights.padded(norm.weight))
                structure.norm_shift = self._pointer(weights.padded(norm.bias))
        size, output_VH = packed[0].size, output.weight
        self._num_symbols, hidden_size = output_VH.shape
        beyond = -self._num_symbols % _OUTPUT_BLOCK
        output_WS = functional.pad(output_VH, (0, size - hidden_size, 0, beyond)).to(dtype)
        inner = INNER_VALUES[dtype]
        blocks = output_WS.view(-1, _OUTPUT_BLOCK, size // inner, inner).transpose(1, 2)
        self._network = _Network(
            num_layers=len(layers),
            hidden=hidden_size,
            size=size,
            vocabulary=self._num_symbols,
            layers=structures,
            table=self._pointer(embedding.weight.to(dtype) @ packed[0].inputs_PI.T),
            output_weights=self._pointer(blocks),
            output_bias=self._pointer(functional.pad(output.bias, (0, beyond))),
        )
        self._next = loaded_kernel(dtype).lstm_next
        hidden_LBS, cell_LBS = (packed[0].padded(part_LBH) for part_LBH in state)
        super().__init__((hidden_LBS.to(dtype).contiguous(), cell_LBS.float().clone()))

    def _pointer(self, tensor: Tensor) -> int:
        """Return the address of the values, which stay there as long as this object lives."""
        self._kept.append(tensor.contiguous())
        return self._kept[-1].data_ptr()

    def step(self, symbols_B: Tensor) -> Tensor:
        """Return the logits (B, V) after one more symbol of each passage.

        Args:
            symbols_B: Whole numbers, each below V.

        Raises:
            IndexError: A symbol is not in the vocabulary; the state is unchanged.
        """
        hidden_LBS, cell_LBS = self._state
        assert len(symbols_B) == hidden_LBS.shape[1], "one symbol a passage"  # else out of bounds
        symbols_B = symbols_B.long().contiguous()
        after_LBS = torch.empty_like(hidden_LBS)
        logits_BV = torch.empty(len(symbols_B), self._num_symbols)
        is_done = self._next(
            ctypes.addressof(self._network),
            len(symbols_B),
            symbols_B.data_ptr(),
            hidden_LBS.data_ptr(),
            after_LBS.data_ptr(),
            cell_LBS.data_ptr(),  # overwritten
            logits_BV.data_ptr(),
        )
        if not is_done:
            raise IndexError(
                f"symbols must be below {self._num_symbols}, got {symbols_B.tolist()}"
            )
        self._state = (after_LBS, cell_LBS)
        return logits_BV
