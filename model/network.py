"""What the networks of both regimes have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from model.config import TrialConfig
from model.dropout import Dropout

Step = Callable[[Tensor], Tensor]
"""Takes the next symbols (B,) of the passages and returns the logits (B, V) after them."""
State = tuple[Tensor, Tensor]
"""Hidden and cell state, each (L, B, H)."""


def lstm_layers(config: TrialConfig, input_size: int) -> nn.ModuleList:
    """Return the stack, layer by layer: the masks between them are our own (dropout.py)."""
    sizes = [input_size, *[config.hidden_size] * (config.num_layers - 1)]
    return nn.ModuleList(nn.LSTM(size, config.hidden_size) for size in sizes)


def run_layer(
    layer: nn.Module, values_TBH: Tensor, state: State | None = None
) -> tuple[Tensor, State]:
    """Run one LSTM layer, on a GPU in float32 even where autocast is on.

    torch 2.13's autocast casts cuDNN's LSTM to float16 whatever it was asked for
    (_cudnn_rnn_cast_reflatten in aten/src/ATen/cudnn/AutocastRNN.cpp), and nothing here scales
    the loss, so small gradients would be lost. float32 is TF32 there (devices.py).
    """
    if values_TBH.device.type != "cuda":
        result: tuple[Tensor, State] = layer(values_TBH, state)
        return result
    with torch.autocast("cuda", enabled=False):
        result = layer(values_TBH.float(), state)
    return result


class Network(nn.Module, ABC):
    """A language model over characters or words.

    Attributes:
        dropout: Where the masks come from; the trainer seeds it for each epoch.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dropout = Dropout()

    @abstractmethod
    def start_text(self, inputs_TB: Tensor) -> tuple[Tensor, Step]:
        """Begin to write after a text.

        Args:
            inputs_TB: Indices (T, B), int32 or int64, at least one step.

        Returns:
            The logits (B, V) after the last of the inputs, and a function that takes the next
            symbol of each passage (B,) and returns the logits after it. It remembers what
            it was given; the weights must not change meanwhile.
        """

    def _drop(self, values: Tensor, p: float) -> Tensor:
        return self.dropout(values, p) if self.training else values

    def num_parameters(self) -> int:
        """Count the trainable parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)
