"""What a network spends on texts, its own above all: several side by side.

A network that loops spends next to nothing on what it writes; one that is drawn from at a high
temperature spends more than on the book.

Shapes: T time steps, B texts, V vocabulary.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from model.generation.decoding import encode_prime
from model.network.base import Network
from model.network.lstm import CharLSTM
from model.scoring.evaluation import network_nats
from model.scoring.layout import chunk_steps
from model.text.streams import Symbols
from model.text.vocabulary import Vocabulary
from model.text.words import WordVocabulary


def own_bits_per_char(
    model: Network,
    vocabulary: Vocabulary | WordVocabulary,
    texts: Sequence[str],
    *,
    prime: str,
    cleaning: str,
) -> list[float | None]:
    """Return the bits per character that a network spends on each of some texts.

    Args:
        model: The network.
        vocabulary: Its symbols.
        texts: Cleaned texts, at least one character each.
        prime: What it reads before each; empty is as in generation.
        cleaning: How the prime is cleaned.

    Returns:
        One number a text; None for a text with characters that the vocabulary does not have.

    Raises:
        ConfigError: The prime cannot be read.
    """
    alphabet = set(vocabulary.alphabet)
    readable = [text for text in texts if alphabet.issuperset(text)]
    context = encode_prime(prime, vocabulary, cleaning).numpy()
    passages = [vocabulary.encode(text) for text in readable]
    if isinstance(model, CharLSTM):
        together = [np.concatenate([context, passage]) for passage in passages]
        nats = _side_by_side(model, together, len(context)) if together else []
    else:
        device = next(model.parameters()).device
        nats = [network_nats(model, p, context=context, device=device) for p in passages]
    bits = {}
    for text, of_text in zip(readable, nats, strict=True):
        spelling = vocabulary.spelling_bits(text) if isinstance(vocabulary, WordVocabulary) else 0
        bits[text] = (of_text / math.log(2) + spelling) / len(text)
    return [bits.get(text) for text in texts]


@torch.inference_mode()
def _side_by_side(model: CharLSTM, symbols: Sequence[Symbols], num_read: int) -> list[float]:
    """Return the nats spent on each text's symbols after the first `num_read`, which are given."""
    longest = max(len(of_text) for of_text in symbols)
    device = next(model.parameters()).device
    texts_TB = torch.full((longest, len(symbols)), -1, dtype=torch.int64)
    for column, of_text in enumerate(symbols):
        texts_TB[: len(of_text), column] = torch.from_numpy(of_text.astype(np.int64))
    targets_TB = texts_TB.clone()
    targets_TB[:num_read] = -1
    inputs_TB, targets_TB = texts_TB[:-1].clamp(min=0).to(device), targets_TB[1:].to(device)
    nats_B = torch.zeros(len(symbols), dtype=torch.float64, device=device)
    state = None
    num_steps = chunk_steps(len(symbols), model.output.out_features)
    model.eval()
    for start in range(0, len(inputs_TB), num_steps):
        chunk = slice(start, start + num_steps)
        logits_TBV, state = model(inputs_TB[chunk], state)
        losses = functional.cross_entropy(
            logits_TBV.float().flatten(0, 1),
            targets_TB[chunk].flatten(),
            ignore_index=-1,
            reduction="none",
        )
        nats_B += losses.view_as(targets_TB[chunk]).sum(dim=0, dtype=torch.float64)
    return [float(nats) for nats in nats_B.cpu()]
