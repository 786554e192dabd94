"""Draws text from a trained network, one character a step, state carried.

Knows nothing of files. Shapes: B passages, V vocabulary.
Sources: Fan 2018, arXiv:1805.04833 (top-k); Holtzman 2019, arXiv:1904.09751 (top-p).
"""

import dataclasses

import torch
from torch import Tensor

from model.cleaning import clean
from model.errors import ConfigError
from model.network import Network
from model.vocabulary import Vocabulary


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SamplingOptions:
    """How the next character is drawn.

    Attributes:
        temperature: Divides the logits; 0 is greedy, the most probable character each time.
        top_k: Draw among the k most probable characters only; None is all of them.
        top_p: Draw among the fewest characters whose probabilities reach p in sum,
            0 < p <= 1; None is all of them.

    Raises:
        ConfigError: A value is out of its range.
    """

    temperature: float = 0.8
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise ConfigError(f"temperature must be at least 0, got {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise ConfigError(f"top_k must be at least 1, got {self.top_k}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p must be in 0 < p <= 1, got {self.top_p}")


def encode_prime(prime: str, vocabulary: Vocabulary, cleaning: str) -> Tensor:
    """Return the cleaned prime's indices (T,); an empty prime becomes a space.

    Raises:
        ConfigError: The prime has characters outside the vocabulary, or none after cleaning.
    """
    if not prime:
        prime = " " if " " in vocabulary.symbols else vocabulary.symbols[0]
    cleaned = clean(prime, cleaning)
    if not cleaned:
        raise ConfigError(f"the cleaning {cleaning!r} must leave something of the prime {prime!r}")
    try:
        return torch.from_numpy(vocabulary.encode(cleaned)).long()
    except ConfigError as error:
        raise ConfigError(f"prime {prime!r}: {error}") from error


@torch.inference_mode()
def generate(
    model: Network,
    prime_T: Tensor,
    *,
    num_chars: int,
    num_passages: int = 1,
    options: SamplingOptions,
    seed: int = 0,
) -> Tensor:
    """Return passages of character indices (B, num_chars), without the prime, on the CPU.

    Args:
        model: The network; it is left in evaluation mode.
        prime_T: Indices (T,) of the text that the network reads first, at least one.
        num_chars: Characters to write, at least 1.
        num_passages: Passages written side by side, at least 1.
        options: How characters are drawn.
        seed: Seed of the draws; the same seed gives the same text.

    Raises:
        ConfigError: num_chars or num_passages is below 1.
    """
    for name, number in (("num_chars", num_chars), ("num_passages", num_passages)):
        if number < 1:
            raise ConfigError(f"{name} must be at least 1, got {number}")
    model.eval()
    device = next(model.parameters()).device
    generator = torch.Generator(device=device).manual_seed(seed)
    inputs_TB = prime_T.to(device)[:, None].expand(-1, num_passages)
    logits_BV, step = model.start_text(inputs_TB)
    written = [_draw(logits_BV.float(), options, generator)]
    for _ in range(num_chars - 1):
        written.append(_draw(step(written[-1]).float(), options, generator))
    return torch.stack(written, dim=1).cpu()


def _draw(logits_BV: Tensor, options: SamplingOptions, generator: torch.Generator) -> Tensor:
    """Return one character index for each passage (B,)."""
    if options.temperature == 0:
        return logits_BV.argmax(dim=-1)
    # Shifting by the maximum keeps a tiny temperature from overflowing to infinity.
    logits_BV = (logits_BV - logits_BV.amax(dim=-1, keepdim=True)) / options.temperature
    if options.top_k is not None and options.top_k < logits_BV.shape[-1]:
        smallest_B1 = logits_BV.topk(options.top_k, dim=-1).values[:, -1:]
        logits_BV = logits_BV.masked_fill(logits_BV < smallest_B1, float("-inf"))
    probabilities_BV = logits_BV.softmax(dim=-1)
    if options.top_p is not None:
        sorted_BV, order_BV = probabilities_BV.sort(dim=-1, descending=True)
        before_BV = sorted_BV.cumsum(dim=-1) - sorted_BV
        sorted_BV = sorted_BV.masked_fill(before_BV >= options.top_p, 0.0)
        probabilities_BV = torch.zeros_like(sorted_BV).scatter(-1, order_BV, sorted_BV)
    return torch.multinomial(probabilities_BV, 1, generator=generator)[:, 0]
