"""A mixture scores and writes what its members' probabilities make; its weights are the best."""

import math

import numpy as np
import pytest
import torch

from model.config import TrialConfig
from model.generation.decoding import SamplingOptions, write_passages
from model.generation.own_bits import own_bits_per_char
from model.network.lstm import build_network
from model.scoring.evaluation import cold_nats, symbol_nats
from model.scoring.mixture import (
    MAX_NETWORKS,
    Mixture,
    choose_members,
    fit_weights,
    mixed_nats,
)
from model.scoring.objective import PreparedCorpus
from model.text.ngram import Ngram
from model.text.streams import EncodedCorpus

STREAM = TrialConfig(hidden_size=8, embedding_dim=4, batch_size=4, sequence_length=16)
WINDOW = TrialConfig(hidden_size=6, regime="window", sequence_length=12, batch_size=4)


@pytest.fixture
def corpus(tiny_corpus: PreparedCorpus) -> EncodedCorpus:
    return tiny_corpus.encoded["lower"]


@pytest.fixture
def mixture(corpus: EncodedCorpus) -> Mixture:
    size = len(corpus.vocabulary)
    torch.manual_seed(5)
    networks = [build_network(config, size) for config in (STREAM, STREAM, WINDOW)]
    ngram = Ngram.fit(corpus.train.symbols, vocabulary_size=size, order=4)
    return Mixture(networks, [0.2, 0.3, 0.1, 0.4], ngram)


def parts_of(mixture: Mixture, passage: np.ndarray, context: np.ndarray) -> np.ndarray:
    assert mixture.ngram is not None
    networks = [symbol_nats(n, passage, context=context) for n in mixture.networks]
    of_ngram = -np.log(mixture.ngram.probabilities(passage, context=context))
    return np.stack([*networks, of_ngram])


def test_symbols_cost_what_they_do_in_one_long_pass(
    mixture: Mixture, corpus: EncodedCorpus
) -> None:
    passage, context = corpus.validation.symbols, corpus.train.symbols
    text = np.concatenate([context[-128:], passage])
    for network in (*mixture.networks, mixture):
        nats = symbol_nats(network, passage, context=context)
        expected = cold_nats(network, text[:, None])[127:, 0]
        assert nats == pytest.approx(expected, abs=1e-3)


def test_mixture_is_the_weighted_sum_of_probabilities(
    mixture: Mixture, corpus: EncodedCorpus
) -> None:
    passage, context = corpus.validation.symbols[:60], corpus.train.symbols
    probabilities = np.exp(-parts_of(mixture, passage, context))
    expected = -np.log(np.array([0.2, 0.3, 0.1, 0.4]) @ probabilities)
    found = symbol_nats(mixture, passage, context=context)
    assert found == pytest.approx(expected, rel=1e-9)


def test_it_writes_with_the_probabilities_that_it_scores_with(
    mixture: Mixture, corpus: EncodedCorpus
) -> None:
    mixture.eval()
    text = corpus.validation.symbols[:14].astype(np.int64)
    with torch.inference_mode():
        logits_BV, step = mixture.start_text(torch.from_numpy(text[:3]), 2)
        steps = [logits_BV]
        for symbol in text[3:-1]:
            steps.append(step(torch.tensor([symbol, symbol])))
    cold = cold_nats(mixture, np.stack([text, text], axis=1))
    for at, (logits_BV, symbol) in enumerate(zip(steps, text[3:], strict=True)):
        assert logits_BV.exp().sum(dim=-1) == pytest.approx([1.0, 1.0], abs=1e-5)
        for row in range(2):
            assert -logits_BV[row, symbol].item() == pytest.approx(cold[2 + at, row], abs=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        SamplingOptions(temperature=0.0),
        SamplingOptions(temperature=0.7, top_k=5),
        SamplingOptions(temperature=1.0, top_p=0.8),
    ],
)
def test_text_is_written_greedily_and_drawn_alone_and_in_a_batch(
    mixture: Mixture, corpus: EncodedCorpus, options: SamplingOptions
) -> None:
    passages = write_passages(
        mixture,
        corpus.vocabulary,
        prime="the ",
        cleaning="lower",
        num_chars=40,
        num_passages=3,
        options=options,
    )
    assert [len(text) for text in passages] == [40, 40, 40]
    assert (len(set(passages)) == 1) == (options.temperature == 0)
    bits = own_bits_per_char(
        mixture, corpus.vocabulary, [*passages, "the"], prime="the ", cleaning="lower"
    )
    assert all(of_text is not None and 0 < of_text < 10 for of_text in bits)


def test_weights_are_those_that_spend_least() -> None:
    generator = np.random.default_rng(0)
    nats = -np.log(generator.dirichlet(np.ones(3), size=400).T)
    weights = fit_weights(nats)
    assert weights.sum() == pytest.approx(1)
    least = mixed_nats(nats, weights).mean()
    for first in np.linspace(0, 1, 41):
        for second in np.linspace(0, 1 - first, 21):
            other = mixed_nats(nats, [first, second, 1 - first - second]).mean()
            assert other >= least - 1e-5
    # Of two of which one is always right, it has all the weight.
    sure = fit_weights(np.stack([np.full(50, 0.1), np.full(50, 3.0)]))
    assert sure[0] > 0.999


def test_members_are_those_that_bring_more_than_noise() -> None:
    generator = np.random.default_rng(1)
    # Two that are right in different places, one that is a little worse than the first, and an
    # n-gram that knows nothing.
    right = generator.random(4_000) < 0.5
    first = np.where(right, 0.5, 2.5)
    second = np.where(right, 2.5, 0.5)
    same = first + np.abs(generator.normal(0, 0.01, 4_000))
    nothing = np.full(4_000, 4.0)
    chosen = choose_members(np.stack([same, first, second, nothing]))
    assert chosen.members == (1, 2)
    assert chosen.weights == pytest.approx([0.5, 0.5], abs=0.03)
    mixed = mixed_nats(np.stack([first, second]), chosen.weights).mean()
    losses = np.array([second.mean(), first.mean()]) - mixed
    assert chosen.gains_bits == pytest.approx(losses / math.log(2), abs=1e-9)
    only = choose_members(np.stack([first, first, nothing]))
    assert only.members == (0,) and only.gains_bits.tolist() == [0.0]


def test_member_that_the_later_ones_replace_goes_again() -> None:
    right = np.random.default_rng(2).random(4_000) < 0.5
    first, second = np.where(right, 0.2, 4.0), np.where(right, 4.0, 0.2)
    average = np.full(4_000, 2.0)  # the best by itself, and then of no use
    assert average.mean() < min(first.mean(), second.mean())
    chosen = choose_members(np.stack([first, average, second, np.full(4_000, 9.0)]))
    assert chosen.members == (0, 2)


def test_networks_are_no_more_than_a_predictor_holds() -> None:
    # Twelve that are each right in a part of their own, and an n-gram that is of little use.
    part = np.arange(6_000) % 12
    networks = np.stack([np.where(part == each, 0.1, 6.0) for each in range(12)])
    chosen = choose_members(np.vstack([networks, np.full(6_000, 6.5)]))
    assert len([row for row in chosen.members if row < 12]) == MAX_NETWORKS


def test_ngram_has_its_best_network_beside_it_where_none_brings_anything() -> None:
    nats = np.stack([np.full(4_000, 40.0), np.full(4_000, 30.0), np.full(4_000, 1.0)])
    chosen = choose_members(nats)
    assert chosen.members == (1, 2) and chosen.weights[1] > 0.999
    assert chosen.gains_bits == pytest.approx([0.0, 29 / math.log(2)], abs=1e-3)


@pytest.mark.parametrize("length", [1, 7, 10])
def test_few_symbols_are_no_reason_for_a_second_member(length: int) -> None:
    chosen = choose_members(np.stack([np.full(length, 0.7), np.full(length, 0.8)]))
    assert chosen.members == (0,) and chosen.weights.tolist() == [1.0]
