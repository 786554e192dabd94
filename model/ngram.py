"""An interpolated character n-gram with Witten-Bell smoothing: the floor of every report.

It trains in a second, so a network that scores no better has learnt little. It also prices
what a cleaning drops (see objective.py). Source: Witten & Bell 1991, "The zero-frequency
problem", method C; Chen & Goodman 1999, section 2.3.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_TRAIN_CHARS = 2_000_000
"""Only the last characters of a longer training text are counted, to stay within seconds."""

ORDERS = range(1, 9)
"""The orders that `best_order` tries; an n-gram of order n sees n - 1 characters of context."""


def ngram_bits(
    train: NDArray[np.integer[Any]],
    passage: NDArray[np.integer[Any]],
    *,
    context: NDArray[np.integer[Any]],
    vocabulary_size: int,
    max_order: int,
) -> list[float]:
    """Return what models of order 1 to `max_order` spend on a passage, in bits in all.

    The probability after a context h of n - 1 characters is, with C(h) its training count
    and N(h) the number of different characters seen after it,
    p_n(c | h) = (C(hc) + N(h) p_{n-1}(c | h')) / (C(h) + N(h)); p_0 is uniform.

    Args:
        train: Indices of the training text; the only text that is counted.
        passage: Indices of the text to score.
        context: The characters just before the passage; at least `max_order` - 1 of them.
        vocabulary_size: Number of symbols.
        max_order: The largest order, at least 1.
    """
    assert len(context) >= max_order - 1, "the passage needs a full context"
    train = train[-MAX_TRAIN_CHARS:]
    tail = context[len(context) - max_order + 1 :]
    symbols = np.concatenate([train, tail, passage]).astype(np.int64)
    scored = slice(len(train) + len(tail), len(symbols))
    probability = np.full(len(passage), 1.0 / vocabulary_size)
    # grams[i] numbers the n - 1 characters before position i; 0 characters have one number.
    grams = np.zeros(len(symbols), dtype=np.int64)
    bits = []
    for order in range(1, max_order + 1):
        _, joint = np.unique(grams * vocabulary_size + symbols, return_inverse=True)
        counted = slice(order - 1, len(train))  # the first positions lack a full context
        joint_count = np.bincount(joint[counted], minlength=len(symbols))
        context_count = np.bincount(grams[counted], minlength=len(symbols))
        _, first = np.unique(joint[counted], return_index=True)
        kinds = np.bincount(grams[counted][first], minlength=len(symbols))
        here = grams[scored]
        seen = context_count[here] + kinds[here]
        updated = joint_count[joint[scored]] + kinds[here] * probability
        probability = np.where(seen > 0, updated / np.maximum(seen, 1), probability)
        bits.append(float(-np.log2(probability).sum()))
        grams = np.concatenate([joint[:1], joint[:-1]])  # the gram that ends before position i
    return bits
