"""An output layer that shares the embedding's weights.

Shapes: V vocabulary, E embedding, H hidden.
Sources: Press & Wolf 2017, arXiv:1608.05859; Inan 2017, arXiv:1611.01462.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

_INITIAL_BOUND = 0.1
"""Embeddings are initialised between -0.1 and 0.1, like AWD-LSTM's: those of nn.Embedding, with a
standard deviation of 1, would give logits of tens."""


class TiedOutput(nn.Module):
    """Scores each symbol by the product of its embedding and the projected last hidden state.

    Without the projection from H to E, embeddings would have to be as long as the state; if they
    are, there is no projection.

    Attributes:
        in_features: H.
        out_features: V.
        bias: One for each symbol.
    """

    def __init__(self, embedding: nn.Embedding, hidden_size: int) -> None:
        super().__init__()
        self.in_features, self.out_features = hidden_size, embedding.num_embeddings
        # In a tuple: a module registered twice is saved twice.
        self._tied = (embedding,)
        nn.init.uniform_(embedding.weight, -_INITIAL_BOUND, _INITIAL_BOUND)
        self.projection: nn.Linear | None = None
        if embedding.embedding_dim != hidden_size:
            self.projection = nn.Linear(hidden_size, embedding.embedding_dim, bias=False)
        bound = 1 / math.sqrt(hidden_size)  # nn.Linear's
        self.bias = nn.Parameter(torch.empty(self.out_features).uniform_(-bound, bound))

    def forward(self, values: Tensor) -> Tensor:
        """Return the logits (..., V) of the last layer's output (..., H)."""
        if self.projection is not None:
            values = self.projection(values)
        return functional.linear(values, self._tied[0].weight, self.bias)

    @property
    def weight(self) -> Tensor:
        """The equivalent weight of nn.Linear (V, H): embeddings times projection."""
        weight_VE = self._tied[0].weight
        return weight_VE if self.projection is None else weight_VE @ self.projection.weight
