"""What the networks of both regimes have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor, nn

from model.dropout import Dropout

Step = Callable[[Tensor], Tensor]
"""Takes the next symbols (B,) of the passages and returns the logits (B, V) after them."""


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
            it was given, and sees the weights as they are now.
        """

    def num_parameters(self) -> int:
        """Count the trainable parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)
