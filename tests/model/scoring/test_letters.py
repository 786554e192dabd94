"""Bits per letter: against all strings, one by one, and against the network's own score."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch

from model.config import CELLS, TrialConfig
from model.network.lstm import CharLSTM, build_network
from model.network.stream import StreamNetwork
from model.scoring.evaluation import symbol_nats
from model.scoring.letters import MAX_LETTERS, PARTICLES, score_letters, scoring_seconds
from model.scoring.objective import PreparedCorpus
from model.scoring.particle_filter import letter_bits
from model.text.cleaning import CLEANINGS, clean
from model.text.vocabulary import Vocabulary

VOCABULARY = Vocabulary.of("!?Aab")
LETTERS = "abba"
MAX_SILENT_RUN = 2
CONTEXT = np.array([2, 4], dtype=np.uint8)


@pytest.fixture(scope="module", params=CELLS)
def network(request: pytest.FixtureRequest) -> StreamNetwork:
    torch.manual_seed(0)
    config = TrialConfig(cell=request.param, hidden_size=8, num_layers=2, embedding_dim=4)
    network = build_network(config, len(VOCABULARY))
    assert isinstance(network, StreamNetwork)
    with torch.no_grad():
        for parameter in network.parameters():
            # At first all symbols are nearly alike; a GRU's soon have a few heavy strings.
            parameter.mul_(2.0 if request.param == "gru" else 3.0)
    return network


@pytest.fixture(scope="module")
def probability(network: StreamNetwork) -> float:
    """The sum over all strings that clean to the letters, each scored by itself."""
    runs = [
        "".join(run)
        for length in range(MAX_SILENT_RUN + 1)
        for run in itertools.product("!?", repeat=length)
    ]
    of_letters = [
        [run + symbol for run in runs for symbol in VOCABULARY.symbols if symbol.lower() == letter]
        for letter in LETTERS
    ]
    by_length: dict[int, list[str]] = {}
    for parts in itertools.product(*of_letters):
        by_length.setdefault(len("".join(parts)), []).append("".join(parts))
    total = 0.0
    for strings in by_length.values():
        texts_BT = [[*CONTEXT, *VOCABULARY.encode(string)] for string in strings]
        texts_TB = torch.tensor(np.array(texts_BT, dtype=np.int64)).T
        with torch.inference_mode():
            logits_TBV, _ = network.eval()(texts_TB[:-1])
        log_TBV = logits_TBV.double().log_softmax(dim=-1)
        log_TB = log_TBV.gather(-1, texts_TB[1:, :, None])[len(CONTEXT) - 1 :, :, 0]
        total += log_TB.sum(dim=0).exp().sum().item()
    return total


def bits(network: StreamNetwork, num_particles: int, seed: int = 0) -> float:
    return letter_bits(
        network,
        VOCABULARY,
        LETTERS,
        context=CONTEXT,
        num_particles=num_particles,
        seed=seed,
        max_silent_run=MAX_SILENT_RUN,
    )


def test_enough_particles_sum_over_all_strings(network: StreamNetwork, probability: float) -> None:
    assert bits(network, 100_000) == pytest.approx(-math.log2(probability), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("num_particles", [1, 3])
def test_probability_is_estimated_without_bias(
    network: StreamNetwork, probability: float, num_particles: int
) -> None:
    estimates = [2.0 ** -bits(network, num_particles, seed) for seed in range(400)]
    error = np.std(estimates) / len(estimates) ** 0.5
    assert 0 < error < 0.1 * probability
    assert abs(np.mean(estimates) - probability) < 4 * error


@pytest.mark.slow
def test_more_particles_are_better_on_average(network: StreamNetwork, probability: float) -> None:
    means = [np.mean([bits(network, n, seed) for seed in range(60)]) for n in (1, 4, 32)]
    assert means[0] > means[1] > means[2]
    assert means[2] == pytest.approx(-math.log2(probability), abs=0.1)


def test_seed_alone_decides(network: StreamNetwork) -> None:
    assert bits(network, 3, seed=5) == bits(network, 3, seed=5)
    assert bits(network, 3, seed=5) != bits(network, 3, seed=6)


def test_letters_network_spends_what_its_own_test_score_says(
    tiny_corpus: PreparedCorpus, tiny_config: TrialConfig
) -> None:
    corpus = tiny_corpus.encoded["letters"]
    torch.manual_seed(1)
    network = CharLSTM(tiny_config, len(corpus.vocabulary))
    score = score_letters(network, corpus, seed=0, with_trend=True)
    assert score is not None and score.letter_particles == 1
    passage, context = corpus.test.symbols, corpus.validation.symbols
    nats_N = symbol_nats(network, passage, context=context)
    own_bits = float(nats_N.mean()) / math.log(2)
    assert score.test_bits_per_letter == pytest.approx(own_bits, rel=1e-5)
    assert score.test_bits_per_letter_sixteenth == score.test_bits_per_letter


def test_cleanings_are_judged_on_the_same_letters(tiny_text: str) -> None:
    for cleaning in CLEANINGS:
        assert clean(clean(tiny_text, cleaning), "letters") == clean(tiny_text, "letters")


@pytest.mark.slow
def test_network_of_another_cleaning_has_a_trend_if_asked(
    tiny_corpus: PreparedCorpus, tiny_config: TrialConfig
) -> None:
    corpus = tiny_corpus.encoded["cased"]
    network = CharLSTM(tiny_config, len(corpus.vocabulary))
    score = score_letters(network, corpus, seed=0, with_trend=True)
    assert score is not None and score.letter_particles == PARTICLES
    assert None not in (score.test_bits_per_letter_quarter, score.test_bits_per_letter_sixteenth)
    plain = score_letters(network, corpus, seed=0, with_trend=False)
    assert plain is not None and plain.test_bits_per_letter_quarter is None
    assert plain.test_bits_per_letter == score.test_bits_per_letter


def test_window_networks_have_no_score(tiny_corpus: PreparedCorpus) -> None:
    corpus = tiny_corpus.encoded["lower"]
    config = TrialConfig(regime="window", hidden_size=8, sequence_length=10)
    network = build_network(config, len(corpus.vocabulary))
    assert score_letters(network, corpus, seed=0, with_trend=True) is None
    assert scoring_seconds(config, 10**6, num_chars=1_000, with_trend=True) == 0.0


def test_a_passage_without_letters_has_no_score(
    tiny_corpus: PreparedCorpus, tiny_config: TrialConfig
) -> None:
    corpus = tiny_corpus.encoded["cased"]
    network = CharLSTM(tiny_config, len(corpus.vocabulary))
    assert isinstance(corpus.vocabulary, Vocabulary)
    test = dataclasses.replace(corpus.test, symbols=corpus.vocabulary.encode("!'" * 20))
    silent = dataclasses.replace(corpus, test=test)
    assert score_letters(network, silent, seed=0, with_trend=True) is None


def test_cost_of_scoring_is_bounded() -> None:
    def seconds(num_chars: int) -> float:
        return scoring_seconds(TrialConfig(), 10**6, num_chars=num_chars, with_trend=False)

    assert 0 < seconds(1_000) < seconds(MAX_LETTERS) == seconds(10**7)
