"""What the networks of both regimes have in common."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from model.dropout import Dropout


class Network(nn.Module, ABC):
    """A language model over characters.

    Attributes:
        dropout: Where the masks come from; the trainer seeds it for each epoch.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dropout = Dropout()

    @abstractmethod
    def next_logits(self, inputs_TB: Tensor, memory: Any) -> tuple[Tensor, Any]:
        """Return the logits (B, V) after the last of the inputs, and what to go on from.

        Args:
            inputs_TB: Character indices (T, B), int32 or int64.
            memory: What the call before returned; None at the start of a text.
        """

    def num_parameters(self) -> int:
        """Count the trained numbers."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)
