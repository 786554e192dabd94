"""Scores a network on the test passage, which is for finalists only."""

import math

from model.evaluate import network_nats
from model.network import Network
from model.objective import PreparedCorpus


def score_test_passage(network: Network, prepared: PreparedCorpus, cleaning: str) -> float:
    """Return restored bits per raw character of the test passage.

    It is what `val_bits_per_char` is on the validation passage: the network's own bits and the
    price of what the cleaning dropped there. The passage is entered with the state carried
    over the end of the validation passage.
    """
    corpus, floors = prepared.encoded[cleaning], prepared.floors
    device = next(network.parameters()).device
    nats = network_nats(network, corpus.test, context=corpus.validation, device=device)
    price = floors["cased"].test_bits_per_char - floors[cleaning].test_bits_per_char
    return nats / math.log(2) / corpus.num_raw_test_chars + max(0.0, price)
