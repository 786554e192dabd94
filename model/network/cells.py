"""The layers: an LSTM by torch or by our own kernel, torch's GRU, or a Mogrifier LSTM.

Each layer takes (T, B, I) and the state before it (None means zeros), and returns (T, B, H) and
the state after it.

Shapes: T time steps, B columns, I inputs, H hidden.
Sources: Hochreiter & Schmidhuber 1997 (LSTM); Cho 2014, arXiv:1406.1078 (GRU; torch's applies the
reset gate after the matrix product); Melis 2020, arXiv:1909.01792, section 2 (Mogrifier, with
full-rank matrices).
"""

from torch import Tensor, nn

from model.config import TrialConfig, is_own_cell
from model.network.base import State, SteppedLayer
from model.network.kernels.lstm import LSTMLayer
from model.network.own_cells import OwnLayer, class_of, own_cell


class GRULayer(nn.Module):
    """torch's GRU with its state in a tuple."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.gru = nn.GRU(input_size, hidden_size)

    def forward(self, values_TBI: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return the outputs (T, B, H) and the state after them."""
        outputs_TBH, hidden_1BH = self.gru(values_TBI, None if state is None else state[0])
        return outputs_TBH, (hidden_1BH,)


class MogrifierLayer(SteppedLayer):
    """An LSTM whose input and hidden state gate each other before each step.

    Odd rounds scale the input by 2 sigmoid(Q h), even rounds the hidden state by
    2 sigmoid(R x). Without rounds it is a plain LSTM.
    """

    def __init__(self, input_size: int, hidden_size: int, *, rounds: int) -> None:
        super().__init__(hidden_size, num_states=2)
        self.lstm = nn.LSTMCell(input_size, hidden_size)
        # As in LSTMLayer: the gate order is input, forget, cell, output.
        nn.init.ones_(self.lstm.bias_ih.data.chunk(4)[1])
        self.rounds = nn.ModuleList(
            nn.Linear(hidden_size, input_size, bias=False)
            if number % 2 == 0
            else nn.Linear(input_size, hidden_size, bias=False)
            for number in range(rounds)
        )

    def step(self, input_BI: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the hidden state, and the pair of hidden and cell state."""
        hidden_BH, cell_BH = state
        for number, gate in enumerate(self.rounds):
            if number % 2 == 0:
                input_BI = 2 * gate(hidden_BH).sigmoid() * input_BI
            else:
                hidden_BH = 2 * gate(input_BI).sigmoid() * hidden_BH
        hidden_BH, cell_BH = self.lstm(input_BI, (hidden_BH, cell_BH))
        return hidden_BH, (hidden_BH, cell_BH)


def cell_layers(config: TrialConfig, input_size: int) -> nn.ModuleList:
    """Return the stack as separate layers: we draw the masks between them ourselves (base.py)."""
    sizes = [input_size, *[config.hidden_size] * (config.num_layers - 1)]
    return nn.ModuleList(_layer(config, size) for size in sizes)


def _layer(config: TrialConfig, input_size: int) -> nn.Module:
    if is_own_cell(config.cell):
        own = own_cell(config.cell)
        return OwnLayer(class_of(own.name, own.source), input_size, config.hidden_size)
    if config.cell == "gru":
        return GRULayer(input_size, config.hidden_size)
    if config.cell == "mogrifier":
        return MogrifierLayer(input_size, config.hidden_size, rounds=config.mogrifier_rounds)
    assert config.cell == "lstm"
    return LSTMLayer(input_size, config.hidden_size)
