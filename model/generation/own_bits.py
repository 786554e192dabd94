"""What texts cost a network, in particular those that it wrote; several are scored in parallel.

The text of a network that loops costs it almost nothing; text sampled at a high temperature costs
it more than the book.

Shapes: T time steps, B texts, V vocabulary.
"""

import math
from collections.abc import Sequence

import numpy as np

from model.generation.decoding import encode_prime
from model.network.base import Network
from model.scoring.evaluation import cold_nats
from model.text.streams import AnyVocabulary
from model.text.vocabulary import Symbols


def own_bits_per_char(
    model: Network,
    vocabulary: AnyVocabulary,
    texts: Sequence[str],
    *,
    prime: str,
    cleaning: str,
) -> list[float | None]:
    """Return a network's cost of each text, in bits per character.

    Args:
        model: The network.
        vocabulary: Its symbols.
        texts: Cleaned texts, at least one character each.
        prime: What it reads before each text; an empty prime is handled as in generation.
        cleaning: How the prime is cleaned.

    Returns:
        One number per text; None for a text with characters that the vocabulary lacks.

    Raises:
        ConfigError: The prime cannot be read.
    """
    readable = [text for text in texts if not vocabulary.unknown_chars(text)]
    context = encode_prime(prime, vocabulary, cleaning).numpy()
    passages = [vocabulary.encode(text) for text in readable]
    nats = _side_by_side(model, passages, context) if passages else []
    bits = {}
    for text, of_text in zip(readable, nats, strict=True):
        bits[text] = (of_text / math.log(2) + vocabulary.spelling_bits(text)) / len(text)
    return [bits.get(text) for text in texts]


def _side_by_side(model: Network, passages: Sequence[Symbols], context: Symbols) -> list[float]:
    """Return the cost of each passage in nats; that of the context is not included."""
    longest = max(len(passage) for passage in passages)
    texts_TB = np.zeros((len(context) + longest, len(passages)), dtype=np.int64)
    texts_TB[: len(context)] = context[:, None]
    for column, passage in enumerate(passages):
        texts_TB[len(context) : len(context) + len(passage), column] = passage
    nats_TB = cold_nats(model, texts_TB)[len(context) - 1 :]
    return [
        float(nats_TB[: len(passage), column].sum()) for column, passage in enumerate(passages)
    ]
