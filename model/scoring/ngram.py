"""An interpolated character n-gram with Witten-Bell smoothing: the floor of every report.

It trains in a second, so a network that scores no better has learnt little. It also prices
what a cleaning drops (see objective.py). Source: Witten & Bell 1991, "The zero-frequency
problem", method C; Chen & Goodman 1999, section 2.3.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

ORDERS = range(1, 9)
"""The orders that are tried; an n-gram of order n sees n - 1 characters of context."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Passage:
    """A text to score.

    Attributes:
        symbols: Its indices.
        context: The characters just before it; as many as the largest order less one, or more.
    """

    symbols: NDArray[np.integer[Any]]
    context: NDArray[np.integer[Any]]


def ngram_bits(
    train: NDArray[np.integer[Any]],
    passages: Sequence[Passage],
    *,
    vocabulary_size: int,
    max_order: int,
) -> list[list[float]]:
    """Return what models of order 1 to `max_order` spend on each passage, in bits in all.

    The probability after a context h of n - 1 characters is, with C(h) its training count
    and N(h) the number of different characters seen after it,
    p_n(c | h) = (C(hc) + N(h) p_{n-1}(c | h')) / (C(h) + N(h)); p_0 is uniform.

    Args:
        train: Indices of the training text; the only text that is counted.
        passages: What to score; all at once, for the counting takes most of the time.
        vocabulary_size: Number of symbols.
        max_order: The largest order, at least 1.
    """
    pieces, scored = [train], []
    end = len(train)
    for passage in passages:
        assert len(passage.context) >= max_order - 1, "a passage needs a full context"
        tail = passage.context[len(passage.context) - max_order + 1 :]
        pieces += [tail, passage.symbols]
        scored.append(np.arange(len(passage.symbols)) + end + len(tail))
        end += len(tail) + len(passage.symbols)
    symbols = np.concatenate(pieces).astype(np.int64)
    positions = np.concatenate(scored)
    ends = np.cumsum([len(of_passage) for of_passage in scored])
    probability = np.full(len(positions), 1.0 / vocabulary_size)
    # grams[i] numbers the n - 1 characters before position i; 0 characters have one number.
    grams = np.zeros(len(symbols), dtype=np.int64)
    bits = []
    for order in range(1, max_order + 1):
        _, joint = np.unique(grams * vocabulary_size + symbols, return_inverse=True)
        counted = slice(order - 1, len(train))  # the first positions lack a full context
        joint_count = np.bincount(joint[counted], minlength=len(symbols))
        context_count = np.bincount(grams[counted], minlength=len(symbols))
        # Any one place of each gram that was counted: their contexts are what was seen there.
        position_of = np.full(len(symbols), -1)
        position_of[joint[counted]] = np.arange(len(symbols))[counted]
        kinds = np.bincount(grams[position_of[position_of >= 0]], minlength=len(symbols))
        here = grams[positions]
        seen = context_count[here] + kinds[here]
        updated = joint_count[joint[positions]] + kinds[here] * probability
        probability = np.where(seen > 0, updated / np.maximum(seen, 1), probability)
        bits.append([float(-np.log2(part).sum()) for part in np.split(probability, ends[:-1])])
        grams = np.concatenate([joint[:1], joint[:-1]])  # the gram that ends before position i
    return [list(of_passage) for of_passage in zip(*bits, strict=True)]
