"""Dynamic evaluation: a network that goes on learning, and stays as it was."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from model.config import CELLS, TrialConfig
from model.network.stream import StreamNetwork
from model.scoring import dynamic
from model.scoring.dynamic import dynamic_gain, dynamic_seconds
from model.scoring.evaluation import cold_nats
from model.scoring.objective import PreparedCorpus
from model.text.streams import EncodedCorpus
from model.training.checkpoint import load_checkpoint
from model.training.trainer import Trainer


@pytest.fixture
def network(trained_checkpoint: Path) -> StreamNetwork:
    network, _ = load_checkpoint(trained_checkpoint)
    assert isinstance(network, StreamNetwork)
    return network


@pytest.fixture
def corpus(tiny_corpus: PreparedCorpus) -> EncodedCorpus:
    return tiny_corpus.encoded["lower"]


def in_a_pattern(corpus: EncodedCorpus) -> EncodedCorpus:
    """Return a corpus whose held-out passages are another kind of text."""
    pattern = np.tile(corpus.validation.symbols[:7], 60)
    passage = dataclasses.replace(corpus.validation, symbols=pattern)
    return dataclasses.replace(corpus, validation=passage, test=passage)


@pytest.mark.slow
def test_network_learns_a_text_of_another_kind_and_stays_as_it_was(
    network: StreamNetwork, corpus: EncodedCorpus
) -> None:
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    foreign = in_a_pattern(corpus)
    gain_bits, num_symbols = dynamic_gain(network, foreign, seed=0)
    assert gain_bits / num_symbols > 0.2
    assert all(torch.equal(weight, before[name]) for name, weight in network.state_dict().items())
    assert dynamic_gain(network, foreign, seed=0) == (gain_bits, num_symbols)


@pytest.mark.slow
def test_step_of_a_weight_that_the_training_text_never_moved_is_no_leap(
    network: StreamNetwork, corpus: EncodedCorpus
) -> None:
    symbols = corpus.train.symbols
    missing = int(symbols[0])
    roots = dynamic._root_mean_squares(network, symbols[symbols != missing], seed=0)
    for (name, weight), root in zip(network.named_parameters(), roots, strict=True):
        assert root.shape == weight.shape and root.min() > 0.1 * root.mean(), name


@pytest.mark.slow
def test_text_that_learning_on_would_harm_is_read_as_it_is(
    network: StreamNetwork, corpus: EncodedCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamic, "LEARNING_RATES", (0.0, 10.0))
    gain_bits, _ = dynamic_gain(network, in_a_pattern(corpus), seed=0)
    assert gain_bits == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell != "lstm"])
def test_other_cells_learn_it_too(
    cell: str, corpus: EncodedCorpus, tiny_config: TrialConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamic, "_SEGMENTS", 50)  # the Mogrifier takes 0.1 s for each
    trainer = Trainer(dataclasses.replace(tiny_config, cell=cell, epochs=1), corpus)
    next(trainer.reports())
    assert isinstance(trainer.model, StreamNetwork)
    foreign = in_a_pattern(corpus)
    gain_bits, num_symbols = dynamic_gain(trainer.model, foreign, seed=0)
    assert gain_bits / num_symbols > 0.1


@pytest.mark.slow
def test_network_that_does_not_learn_spends_what_it_does(
    network: StreamNetwork, corpus: EncodedCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamic, "LEARNING_RATES", (0.0,))
    assert dynamic_gain(network, corpus, seed=0)[0] == pytest.approx(0, abs=1e-9)
    text = np.concatenate([corpus.validation.symbols[-128:], corpus.test.symbols])
    expected = cold_nats(network, text[:, None])[127:].sum()
    nats = dynamic._nats(network, corpus.test.symbols, corpus.validation.symbols, 0.0, [])
    assert nats == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_only_so_much_of_a_long_passage_is_read(
    network: StreamNetwork, corpus: EncodedCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamic, "MAX_DYNAMIC_SYMBOLS", 40)
    monkeypatch.setattr(dynamic, "TRIED_SYMBOLS", 20)
    assert dynamic_gain(network, corpus, seed=0)[1] == 40
    assert dynamic_seconds(10**6, num_symbols=10**9) == dynamic_seconds(10**6, num_symbols=40)


@pytest.mark.slow
def test_text_of_a_few_symbols_is_scored(network: StreamNetwork, corpus: EncodedCorpus) -> None:
    train, validation, test = (
        dataclasses.replace(part, symbols=part.symbols[:length])
        for part, length in zip(corpus.parts, (9, 3, 2), strict=True)
    )
    short = dataclasses.replace(corpus, train=train, validation=validation, test=test)
    assert dynamic_gain(network, short, seed=0)[1] == 2
