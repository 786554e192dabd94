"""Scores a network on the test passage, which is for finalists only."""

import math

from model.config import TrialConfig
from model.evaluate import network_nats
from model.network.base import Network
from model.network.precision import autocast
from model.objective import PreparedCorpus


def score_test_passage(
    network: Network, prepared: PreparedCorpus, config: TrialConfig, *, precision: str | None
) -> float:
    """Return restored bits per raw character of the test passage.

    It is what `val_bits_per_char` is on the validation passage: the network's own bits and the
    price of what the cleaning dropped there; with words, spelling is in it. The passage is
    entered with the state carried over the end of the validation passage.

    Args:
        network: The network.
        prepared: The corpus.
        config: The network's configuration.
        precision: The arithmetic that it was trained and validated in; None is float32.
    """
    corpus, floors = prepared.streams(config), prepared.floors
    device = next(network.parameters()).device
    with autocast(precision or "float32", device):
        nats = network_nats(network, corpus.test, context=corpus.validation, device=device)
    own_bits = nats / math.log(2) + corpus.test_spelling_bits
    price = floors["cased"].test_bits_per_char - floors[config.cleaning].test_bits_per_char
    return own_bits / corpus.num_raw_test_chars + max(0.0, price)
