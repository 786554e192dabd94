"""The network of the stream regime: embedding, stacked LSTM, linear output.

Shapes: T time steps, B columns, V vocabulary, E embedding, H hidden, L layers.
Sources: Hochreiter & Schmidhuber 1997 (LSTM); Zaremba 2014, arXiv:1409.2329 (dropout between
layers and before the output, none on the recurrence).
"""

import torch
from torch import Tensor, nn

from model.config import TrialConfig
from model.network import Network, Step
from model.stepping import Stepper

State = tuple[Tensor, Tensor]
"""Hidden and cell state, each (L, B, H)."""


class CharLSTM(Network):
    """Predicts the next character at every position, carrying its state from call to call."""

    def __init__(self, config: TrialConfig, vocabulary_size: int) -> None:
        super().__init__()
        self._input_p, self._p = config.input_dropout, config.dropout
        self.embedding = nn.Embedding(vocabulary_size, config.embedding_dim)
        self.lstm = nn.LSTM(
            config.embedding_dim,
            config.hidden_size,
            config.num_layers,
            dropout=config.dropout if config.num_layers > 1 else 0.0,
        )
        self.output = nn.Linear(config.hidden_size, vocabulary_size)
        self._open_forget_gates()

    def forward(self, inputs_TB: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return the next characters' logits (T, B, V) and the state after the last step.

        Args:
            inputs_TB: Character indices (T, B), int32 or int64.
            state: The state before the first step; None is all zeros.
        """
        embedded_TBE = self.embedding(inputs_TB)
        if not self.training:
            hidden_TBH, state = self.lstm(embedded_TBE, state)
            return self.output(hidden_TBH), state
        embedded_TBE = self.dropout(embedded_TBE, self._input_p)
        if embedded_TBE.device.type == "cpu":
            hidden_TBH, state = self._layer_by_layer(embedded_TBE, state)
        else:  # cuDNN overlaps the layers, its own dropout between them
            hidden_TBH, state = self.lstm(embedded_TBE, state)
        logits_TBV = self.output(self.dropout(hidden_TBH, self._p))
        return logits_TBV, state

    def start_text(self, inputs_TB: Tensor) -> tuple[Tensor, Step]:
        """Read a text in one go; the steps after it carry the state."""
        logits_TBV, state = self(inputs_TB)
        stepper = Stepper(self.lstm, self.embedding, self.output, state)
        return logits_TBV[-1], stepper.step

    def _layer_by_layer(self, values_TBE: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Run the LSTM's layers one by one, our dropout between them."""
        num_layers, hidden_size = self.lstm.num_layers, self.lstm.hidden_size
        if state is None:
            zeros_LBH = values_TBE.new_zeros(num_layers, values_TBE.shape[1], hidden_size)
            state = zeros_LBH, zeros_LBH
        after: list[State] = []
        for layer, weights in enumerate(self.lstm.all_weights):
            if layer > 0:
                values_TBE = self.dropout(values_TBE, self._p)
            before = tuple(part_LBH[layer : layer + 1] for part_LBH in state)
            # Arguments after the weights: biases, layers, dropout, train, both ways, batch first.
            values_TBE, hidden, cell = torch.lstm(
                values_TBE, before, list(weights), True, 1, 0.0, True, False, False
            )
            after.append((hidden, cell))
        hidden_LBH, cell_LBH = (torch.cat(parts) for parts in zip(*after, strict=True))
        return values_TBE, (hidden_LBH, cell_LBH)

    def _open_forget_gates(self) -> None:
        """Set the forget gates' bias to 1, so that the state is kept before it is learnt what to.

        Source: Jozefowicz 2015, "An Empirical Exploration of Recurrent Network Architectures".
        """
        hidden_size = self.lstm.hidden_size
        with torch.no_grad():
            for name, parameter in self.lstm.named_parameters():
                # Gates lie in the order input, forget, cell, output.
                if name.startswith("bias_ih"):
                    parameter[hidden_size : 2 * hidden_size].fill_(1.0)
