"""Passages as symbols, for benchmarks to time and tests to compare, without a vocabulary."""

import itertools

import numpy as np
import torch
from torch import Tensor

from model.generation.decoding import SamplingOptions, drawn
from model.network.base import Network


def generate(
    model: Network,
    prime_T: Tensor,
    *,
    num_symbols: int,
    num_passages: int = 1,
    options: SamplingOptions,
    seed: int = 0,
) -> Tensor:
    """Return passages of indices (B, num_symbols), without the prime, on the CPU.

    Args:
        model: The network; it is left in evaluation mode.
        prime_T: Indices (T,) of the text that the network reads first, at least one.
        num_symbols: Symbols to write, at least 1.
        num_passages: Passages sampled in parallel, at least 1.
        options: How symbols are drawn.
        seed: Seed of the draws; the same seed gives the same passages.
    """
    generator = np.random.Generator(np.random.SFC64(seed))
    symbols = drawn(model, prime_T, num_passages, options, generator)
    return torch.stack(list(itertools.islice(symbols, num_symbols)), dim=1).cpu()
