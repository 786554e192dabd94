"""The network of the stream regime, with any cell.

Shapes: T time steps, B columns, V vocabulary, E embedding, H hidden, L layers.
Sources: Zaremba 2014, arXiv:1409.2329 (dropout between layers and before the output, none on the
recurrence); Ba 2016, arXiv:1607.06450 (layer norm; here of a layer's output, since its
recurrence is inside the cell); Merity 2018, arXiv:1708.02182, section 2 (weight dropout).
"""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from model.config import TrialConfig
from model.network.base import Network, State, Step, run_layer
from model.network.cells import cell_layers
from model.network.stepping import NetworkStepper, Stepper
from model.network.tied import TiedOutput

RECURRENT_WEIGHTS = ("weight_hh", "weight_hh_l0")
"""torch's names for the weights that multiply the previous hidden state."""


class StreamNetwork(Network):
    """Predicts the next symbol at every position; its state is passed from call to call."""

    def __init__(self, config: TrialConfig, vocabulary_size: int) -> None:
        super().__init__()
        self._input_p, self._p = config.input_dropout, config.dropout
        self._weight_p = config.weight_dropout
        self.embedding = nn.Embedding(vocabulary_size, config.embedding_dim)
        self.layers = cell_layers(config, config.embedding_dim)
        norm = nn.LayerNorm if config.normalization == "layer" else nn.Identity
        self.norms = nn.ModuleList(norm(config.hidden_size) for _ in self.layers)
        self.output: nn.Linear | TiedOutput
        if config.tie_weights:
            self.output = TiedOutput(self.embedding, config.hidden_size)
        else:
            self.output = nn.Linear(config.hidden_size, vocabulary_size)

    def forward(self, inputs_TB: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return the next symbols' logits (T, B, V) and the state after the last step.

        Args:
            inputs_TB: Indices (T, B), int32 or int64.
            state: The state before the first step; None means zeros.
        """
        values_TBH = self._drop(self.embedding(inputs_TB), self._input_p)
        after: list[State] = []
        for number, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            one = slice(number, number + 1)
            before = None if state is None else tuple(part_LBH[one] for part_LBH in state)
            values_TBH, layer_state = self._run(layer, values_TBH, before)
            values_TBH = self._drop(norm(values_TBH), self._p)
            after.append(layer_state)
        parts_LBH = tuple(torch.cat(parts) for parts in zip(*after, strict=True))
        return self.output(values_TBH), parts_LBH

    def _run(
        self, layer: nn.Module, values_TBH: Tensor, before: State | None
    ) -> tuple[Tensor, State]:
        """Run a layer; in training with one recurrent weight mask for all steps."""
        if not (self.training and self._weight_p):
            return run_layer(layer, values_TBH, before)
        dropped = {
            name: self._drop(weight, self._weight_p)
            for name, weight in layer.named_parameters()
            if name.rpartition(".")[2] in RECURRENT_WEIGHTS
        }
        return run_layer(
            lambda values, state: functional_call(layer, dropped, (values, state)),
            values_TBH,
            before,
        )

    def start_text(self, inputs_T: Tensor, num_passages: int) -> tuple[Tensor, Step]:
        """Read a text in one pass; the steps after it carry the state."""
        logits_1V, stepper = self.start_stepper(inputs_T[:, None])
        first_B = torch.zeros(num_passages, dtype=torch.int64, device=inputs_T.device)
        return logits_1V.expand(num_passages, -1), stepper.pick(first_B).step

    def start_stepper(self, inputs_TB: Tensor) -> tuple[Tensor, Stepper]:
        """Read one text per passage (T, B); return the logits (B, V) after it and a stepper."""
        logits_TBV, state = self(inputs_TB)
        return logits_TBV[-1], NetworkStepper(self, state)
