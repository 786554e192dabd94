"""A network that writes: one more symbol of each passage by one call of the kernel.

All is in bfloat16 as in training; sums, layer norm and the cell state are float32. A network of
one layer of 256 units spent three quarters of a symbol's time in calls of torch and ctypes.

Shapes: L layers, B passages, V vocabulary, W = V padded to a multiple of 64, E embedding,
H hidden, S = H padded to a multiple of 16.
"""

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.network.kernels.library import kernel
from model.network.kernels.lstm import LSTMLayer, PackedWeights

_OUTPUT_BLOCK = 64
_SIZES = ("num_layers", "hidden", "size", "vocabulary")
_LAYER_ARRAYS = ("input_weights", "weights", "bias", "norm_scale", "norm_shift")
_NETWORK_ARRAYS = ("table", "output_weights", "output_bias")


class _Layer(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in _LAYER_ARRAYS]


class _Network(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in _SIZES),
        ("layers", ctypes.POINTER(_Layer)),
        *((name, ctypes.c_void_p) for name in _NETWORK_ARRAYS),
    ]


class SingleSteps:
    """Steps a network by one symbol at a time; its weights are copied."""

    def __init__(
        self,
        layers: Sequence[LSTMLayer],
        norms: Sequence[nn.LayerNorm | None],
        embedding_VE: Tensor,
        output_VH: Tensor,
        output_bias_V: Tensor,
    ) -> None:
        """Lay the weights out as lstm.cpp reads them.

        Args:
            layers: At least one.
            norms: Of each layer's output on its way up.
            embedding_VE: What the first layer reads.
            output_VH: From the last layer to the logits.
            output_bias_V: Added to them.
        """
        self._kept: list[Tensor] = []
        packed = [PackedWeights(*layer.weights()) for layer in layers]
        structures = (_Layer * len(layers))()
        for number, (weights, norm) in enumerate(zip(packed, norms, strict=True)):
            structure = structures[number]
            if number > 0:
                inputs_GH, *_ = layers[number].weights()
                structure.input_weights = self._pointer(weights.pack(inputs_GH))
            structure.weights = self._pointer(weights.packed)
            structure.bias = self._pointer(weights.bias_4S)
            if norm is not None:
                structure.norm_scale = self._pointer(weights.padded(norm.weight))
                structure.norm_shift = self._pointer(weights.padded(norm.bias))
        self._size = packed[0].size
        self.num_symbols, hidden_size = output_VH.shape
        beyond = -self.num_symbols % _OUTPUT_BLOCK
        output_WS = functional.pad(output_VH, (0, self._size - hidden_size, 0, beyond)).bfloat16()
        blocks = output_WS.view(-1, _OUTPUT_BLOCK, self._size // 2, 2).transpose(1, 2)
        self._network = _Network(
            num_layers=len(layers),
            hidden=hidden_size,
            size=self._size,
            vocabulary=self.num_symbols,
            layers=structures,
            table=self._pointer(embedding_VE.bfloat16() @ packed[0].inputs_PI.T),
            output_weights=self._pointer(blocks),
            output_bias=self._pointer(functional.pad(output_bias_V, (0, beyond))),
        )
        self._address = ctypes.addressof(self._network)
        library = kernel()
        assert library is not None, "no kernel here"
        self._next = library.lstm_next

    def _pointer(self, tensor: Tensor) -> int:
        """Return the address of the values, which stay there as long as this does."""
        self._kept.append(tensor.contiguous())
        return self._kept[-1].data_ptr()

    def padded_state(self, hidden_LBH: Tensor, cell_LBH: Tensor) -> tuple[Tensor, Tensor]:
        """Return copies of a state as `step` takes it: (L, B, S), in bfloat16 and float32."""
        beyond = (0, self._size - hidden_LBH.shape[-1])
        hidden_LBS, cell_LBS = (functional.pad(part, beyond) for part in (hidden_LBH, cell_LBH))
        return hidden_LBS.bfloat16().contiguous(), cell_LBS.float().clone()

    def step(
        self, symbols_B: Tensor, hidden_LBS: Tensor, cell_LBS: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the logits (B, V) after one more symbol of each passage, and the hidden state.

        Args:
            symbols_B: Whole numbers, each below V.
            hidden_LBS: Before the step, in bfloat16; it is left as it is.
            cell_LBS: In float32; it is overwritten.

        Raises:
            IndexError: A symbol is not in the vocabulary; no state has changed.
        """
        num_passages = len(symbols_B)
        assert num_passages == hidden_LBS.shape[1], "one symbol a passage"  # or it reads beyond
        symbols_B = symbols_B.long().contiguous()
        after_LBS = torch.empty_like(hidden_LBS)
        logits_BV = torch.empty(num_passages, self.num_symbols)
        is_done = self._next(
            self._address,
            num_passages,
            symbols_B.data_ptr(),
            hidden_LBS.data_ptr(),
            after_LBS.data_ptr(),
            cell_LBS.data_ptr(),
            logits_BV.data_ptr(),
        )
        if not is_done:
            raise IndexError(f"symbols must be below {self.num_symbols}, got {symbols_B.tolist()}")
        return logits_BV, after_LBS
