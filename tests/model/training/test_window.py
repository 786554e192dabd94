"""The window regime: the reference's own way of training."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from benchmarks.documented import documented_losses, documented_text, whole_corpus
from benchmarks.written_symbols import generate
from model.config import TrialConfig
from model.generation.decoding import SamplingOptions, encode_prime
from model.generation.own_bits import own_bits_per_char
from model.network.lstm import WindowLSTM
from model.scoring.objective import PreparedCorpus
from model.text.streams import EncodedCorpus
from model.training.checkpoint import load_checkpoint
from model.training.cost import check_fits
from model.training.regimes import WindowRegime
from model.training.trainer import Trainer

CONFIG = TrialConfig(
    regime="window",
    epochs=3,
    hidden_size=12,
    num_layers=2,
    batch_size=32,
    sequence_length=10,
    dropout=0.2,
    learning_rate=1e-3,
    precision="float32",
    kernel="torch",
)
CPU = torch.device("cpu")


@pytest.fixture
def corpus(tiny_corpus: PreparedCorpus) -> EncodedCorpus:
    whole = tiny_corpus.encoded["lower"]
    return dataclasses.replace(
        whole,
        train=dataclasses.replace(whole.train, symbols=whole.train.symbols[:600], num_chars=600),
        validation=dataclasses.replace(
            whole.validation, symbols=whole.validation.symbols[:80], num_chars=80
        ),
    )


def regime_of(corpus: EncodedCorpus) -> WindowRegime:
    torch.manual_seed(0)
    return WindowRegime(CONFIG, corpus, CPU)


def test_every_window_is_an_example_once_an_epoch(corpus: EncodedCorpus) -> None:
    regime = regime_of(corpus)
    seen: list[list[int]] = []
    regime.network.forward = lambda windows_TB: (  # type: ignore[method-assign]
        seen.extend(windows_TB.T.tolist()),
        torch.zeros(windows_TB.shape[1], len(corpus.vocabulary)),
    )[1]
    regime.begin_report(7, epoch_seed=7)
    counts = [int(regime.loss(step)[1]) for step in range(regime.steps_per_epoch)]
    assert sum(counts) == 590 == len(seen)
    text = corpus.train.symbols.tolist()
    assert sorted(seen) == sorted(text[start : start + 10] for start in range(590))
    assert seen[0] != text[:10]  # shuffled


def test_windows_are_views_of_one_tensor(corpus: EncodedCorpus) -> None:
    regime = regime_of(corpus)
    assert regime._windows.data_ptr() == torch.from_numpy(corpus.train.symbols).data_ptr()
    assert corpus.train.symbols.dtype == np.uint8


def test_network_starts_as_keras_does() -> None:
    torch.manual_seed(0)
    network = WindowLSTM(CONFIG, vocabulary_size=30)
    for layer, size in zip(network.layers, (1, 12), strict=True):
        named = dict(layer.named_parameters())
        limit = (6 / (size + 48)) ** 0.5
        assert 0.8 * limit < named["weight_ih_l0"].abs().max() <= limit
        identity = named["weight_hh_l0"].T @ named["weight_hh_l0"]
        torch.testing.assert_close(identity, torch.eye(12))
        assert named["bias_ih_l0"].tolist() == [0.0] * 12 + [1.0] * 12 + [0.0] * 24
        assert not named["bias_hh_l0"].requires_grad and not named["bias_hh_l0"].any()
    # Keras counts 4 (in + H + 1) H a layer.
    expected = 4 * (1 + 12 + 1) * 12 + 4 * (12 + 12 + 1) * 12 + 12 * 30 + 30
    assert network.num_parameters() == expected


def test_training_learns_and_resumes_identically(corpus: EncodedCorpus, tmp_path: Path) -> None:
    def reports(trainer: Trainer) -> list[object]:
        return [dataclasses.replace(r, elapsed_seconds=0.0) for r in trainer.reports()]

    whole = Trainer(CONFIG, corpus)
    expected = reports(whole)
    assert expected[-1].train_nats_per_char < expected[0].train_nats_per_char  # type: ignore[attr-defined]
    first = Trainer(CONFIG, corpus)
    next(first.reports())
    first.save(tmp_path / "checkpoint")
    resumed = Trainer(CONFIG, corpus)
    resumed.restore(tmp_path / "checkpoint")
    assert reports(resumed) == expected[1:]


def test_passage_is_scored_character_by_character(corpus: EncodedCorpus) -> None:
    trainer = Trainer(CONFIG, corpus)
    nats = trainer.validation_nats()
    symbols = [*corpus.train.symbols[-10:].tolist(), *corpus.validation.symbols.tolist()]
    by_hand = 0.0
    with torch.inference_mode():
        for place in range(10, len(symbols)):
            window_TB = torch.tensor(symbols[place - 10 : place])[:, None]
            logits_BV = trainer.model.eval()(window_TB)
            target = torch.tensor([symbols[place]])
            by_hand += functional.cross_entropy(logits_BV, target).item()
    assert nats == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize(
    ("prime", "num_chars"), [("", 35), ("the", 35), ("", 4), ("the cat sat on", 5)]
)
def test_own_bits_are_those_of_the_windows_that_generation_reads(
    corpus: EncodedCorpus, prime: str, num_chars: int
) -> None:
    torch.manual_seed(3)
    network = WindowLSTM(CONFIG, len(corpus.vocabulary)).eval()
    torch.nn.init.normal_(network.output.weight)  # an untrained one hardly looks at its window
    passage = corpus.validation.symbols[:num_chars]
    text = corpus.vocabulary.decode(passage)
    read = encode_prime(prime, corpus.vocabulary, "lower")
    nats = 0.0
    with torch.inference_mode():
        logits_BV, step = network.start_text(read, 1)
        for symbol in torch.from_numpy(passage).long():
            nats += functional.cross_entropy(logits_BV, symbol[None]).item()
            logits_BV = step(symbol[None])
    bits = own_bits_per_char(network, corpus.vocabulary, [text], prime=prime, cleaning="lower")
    assert bits == [pytest.approx(nats / math.log(2) / num_chars, rel=1e-5)]


def test_generation_slides_the_window(corpus: EncodedCorpus, tmp_path: Path) -> None:
    trainer = Trainer(CONFIG, corpus)
    next(trainer.reports())
    trainer.save(tmp_path / "checkpoint")
    network, _ = load_checkpoint(tmp_path / "checkpoint")
    prime = torch.from_numpy(corpus.train.symbols[:10]).long()
    written = generate(
        network, prime, num_symbols=15, num_passages=2, options=SamplingOptions(temperature=0.0)
    )
    pattern = prime.tolist()
    for place in range(15):  # as the reference does it
        logits_BV = network.eval()(torch.tensor(pattern)[:, None])
        index = int(logits_BV.argmax())
        assert written[:, place].tolist() == [index, index]
        pattern = [*pattern[1:], index]


@pytest.mark.slow
def test_training_goes_on_whatever_the_patience(corpus: EncodedCorpus) -> None:
    # A step of 1 spoils the network in the first epoch: no later one is better for long.
    config = dataclasses.replace(CONFIG, epochs=6, learning_rate=1.0, patience_epochs=1)
    reports = list(Trainer(config, corpus).reports())
    best = min(reports, key=lambda report: report.val_bits_per_char)
    assert [report.epoch for report in reports] == [1, 2, 3, 4, 5, 6]
    assert best.epoch < 6


def test_documented_text_is_the_references(wonderland_path: Path) -> None:
    for experiment, num_chars, num_symbols in ((1, 144_345, 46), (3, 136_024, 27)):
        text = documented_text(wonderland_path, experiment)
        corpus = whole_corpus(text, "lower")
        assert (len(text), len(corpus.vocabulary)) == (num_chars, num_symbols)
        check_fits(dataclasses.replace(CONFIG, batch_size=64, sequence_length=100), corpus)


def test_documented_losses_are_all_there() -> None:
    assert [len(documented_losses(experiment)) for experiment in (1, 2, 3)] == [20, 30, 40]
    assert documented_losses(1)[-1] == (405, 1.9413)
    assert sum(seconds for e in (1, 2, 3) for seconds, _ in documented_losses(e)) == 95_730
