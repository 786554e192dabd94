"""The network: embedding, stacked LSTM, linear output.

Shapes: T time steps, B columns, V vocabulary, E embedding, H hidden, L layers.
Sources: Hochreiter & Schmidhuber 1997 (LSTM); Zaremba 2014, arXiv:1409.2329 (dropout between
layers and before the output, none on the recurrence).
"""

import torch
from torch import Tensor, nn

from model.config import TrialConfig

State = tuple[Tensor, Tensor]
"""Hidden and cell state, each (L, B, H)."""


class CharLSTM(nn.Module):
    """Predicts the next character at every position, carrying its state from call to call."""

    def __init__(self, config: TrialConfig, vocabulary_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, config.embedding_dim)
        self.input_dropout = nn.Dropout(config.input_dropout)
        self.lstm = nn.LSTM(
            config.embedding_dim,
            config.hidden_size,
            config.num_layers,
            dropout=config.dropout if config.num_layers > 1 else 0.0,
        )
        self.output_dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.hidden_size, vocabulary_size)
        self._open_forget_gates()

    def forward(self, inputs_TB: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return the next characters' logits (T, B, V) and the state after the last step.

        Args:
            inputs_TB: Character indices (T, B), int32 or int64.
            state: The state before the first step; None is all zeros.
        """
        embedded_TBE = self.input_dropout(self.embedding(inputs_TB))
        hidden_TBH, state = self.lstm(embedded_TBE, state)
        logits_TBV = self.output(self.output_dropout(hidden_TBH))
        return logits_TBV, state

    def num_parameters(self) -> int:
        """Count the trained numbers."""
        return sum(parameter.numel() for parameter in self.parameters())

    def _open_forget_gates(self) -> None:
        """Set the forget gates' bias to 1, so that the state is kept before it is learnt what to.

        Source: Jozefowicz 2015, "An Empirical Exploration of Recurrent Network Architectures".
        """
        hidden_size = self.lstm.hidden_size
        with torch.no_grad():
            for name, parameter in self.lstm.named_parameters():
                if name.startswith(
                    "bias_ih"
                ):  # gates lie in the order input, forget, cell, output
                    parameter[hidden_size : 2 * hidden_size].fill_(1.0)
