"""Single steps with little overhead, on which generation spends its time.

nn.LSTM needs 0.2 ms of set-up for a single step, whatever its size. Here the first layer's
input projection is a table (one row per symbol) unless the vocabulary is too large for one, each
further layer is one matrix product, and the three sigmoid gates are adjacent. Other cells are
stepped as in training.

Shapes: B passages, V vocabulary, E embedding, H hidden, L layers, G = 4 H gates; N picked
passages.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from model.network.base import State
from model.network.kernels.lstm import LSTMLayer
from model.network.tied import TiedOutput

MAX_TABLE_VALUES = 1 << 24
"""64 MiB of float32: 8,192 words for a network of 512 units."""


class Stepper(ABC):
    """Carries the state of passages while they are written.

    The weights must not change while it lives. Steppers returned by `pick` and `join` share only
    the weights: a step of one does not affect the others.
    """

    def __init__(self, state: State) -> None:
        """Start from a state.

        Args:
            state: Its parts, each (L, B, H) or padded, or (B, H) for one layer.
        """
        self._state = state

    @abstractmethod
    def step(self, symbols_B: Tensor) -> Tensor:
        """Return the logits (B, V) after one more symbol of each passage."""

    @property
    def device(self) -> torch.device:
        """The device of the states."""
        return self._state[0].device

    @torch.inference_mode()
    def pick(self, rows_N: Tensor) -> Self:
        """Return a stepper that continues the passages of these rows, in this order."""
        picked = copy.copy(self)
        picked._state = tuple(part.index_select(-2, rows_N) for part in self._state)
        return picked

    @torch.inference_mode()
    def join(self, other: Self) -> Self:
        """Return a stepper with the passages of both, the other's after this one's."""
        joined = copy.copy(self)
        pairs = zip(self._state, other._state, strict=True)
        joined._state = tuple(torch.cat(pair, dim=-2) for pair in pairs)
        return joined


class NetworkStepper(Stepper):
    """Steps a network with windows of a single symbol."""

    def __init__(
        self, read: Callable[[Tensor, State], tuple[Tensor, State]], state: State
    ) -> None:
        """Start from a state.

        Args:
            read: The network, in evaluation mode: takes symbols (T, B) and a state, returns logits
                (T, B, V) and the state after them.
            state: Its parts, each (L, B, H).
        """
        super().__init__(tuple(part_LBH.float() for part_LBH in state))
        self._read = read

    @torch.inference_mode()
    def step(self, symbols_B: Tensor) -> Tensor:
        """Return the logits (B, V) after one more symbol of each passage."""
        logits_1BV, self._state = self._read(symbols_B[None], self._state)
        return logits_1BV[0]


class LSTMStepper(Stepper):
    """Steps an LSTM with its weights laid out for single steps, some copied and some not."""

    @torch.inference_mode()
    def __init__(
        self,
        layers: Sequence[LSTMLayer],
        norms: Sequence[nn.Module],
        embedding: nn.Embedding,
        output: nn.Linear | TiedOutput,
        state: State,
    ) -> None:
        """Start from a state, on any device; see `fused_stepping.FusedStepper`."""
        # (B, H) each: the hidden states of the layers, then their cell states.
        super().__init__(tuple(part for part_LBH in state for part in part_LBH.float().unbind()))
        self._norms = norms
        self._hidden_size = output.in_features
        self._output_HV = output.weight.T.contiguous()
        self._output_bias_V = output.bias
        # torch's gate order is input, forget, cell, output; here the cell gate comes last.
        parts = torch.arange(4 * self._hidden_size, device=self._output_HV.device).chunk(4)
        order = torch.cat([parts[0], parts[1], parts[3], parts[2]])
        self._weights: list[Tensor] = []
        self._biases: list[Tensor] = []
        self._embedding_VE = embedding.weight
        self._has_table = len(embedding.weight) * len(order) <= MAX_TABLE_VALUES
        for number, layer in enumerate(layers):
            inputs_GE, recurrent_GH, bias_G = (part[order] for part in layer.weights())
            self._biases.append(bias_G)
            if number == 0 and self._has_table:
                self._table_VG = embedding.weight @ inputs_GE.T + bias_G
                self._weights.append(recurrent_GH.T.contiguous())
            else:
                self._weights.append(torch.cat([inputs_GE, recurrent_GH], dim=1).T.contiguous())

    @torch.inference_mode()
    def step(self, symbols_B: Tensor) -> Tensor:
        """Return the logits (B, V) after one more symbol of each passage."""
        three = 3 * self._hidden_size
        num_layers = len(self._weights)
        hidden, cell = [*self._state[:num_layers]], [*self._state[num_layers:]]
        values = hidden[0] if self._has_table else self._embedding_VE[symbols_B]
        for layer, weights in enumerate(self._weights):
            if layer == 0 and self._has_table:
                start_BG, inputs = self._table_VG.index_select(0, symbols_B), values
            else:
                start_BG = self._biases[layer]
                inputs = torch.cat([values, hidden[layer]], dim=1)
            gates_BG = torch.addmm(start_BG, inputs, weights)
            input_BH, forget_BH, output_BH = gates_BG[:, :three].sigmoid_().chunk(3, dim=1)
            new_BH = gates_BG[:, three:].tanh_()
            cell[layer] = torch.addcmul(forget_BH * cell[layer], input_BH, new_BH)
            hidden[layer] = output_BH * cell[layer].tanh()
            values = self._norms[layer](hidden[layer])
        self._state = (*hidden, *cell)
        return torch.addmm(self._output_bias_V, values, self._output_HV)
