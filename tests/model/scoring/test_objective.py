"""The objective, against figures worked out by hand or measured independently."""

import dataclasses
import math
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from model.config import TrialConfig
from model.errors import CorpusError
from model.network.base import Network
from model.network.lstm import CharLSTM
from model.scoring import objective
from model.scoring.evaluation import symbol_nats
from model.scoring.objective import PreparedCorpus, prepare_corpus, restored_bits_per_char
from model.text.cleaning import clean
from model.text.corpus import resolve_corpus
from model.text.ngram import Ngram
from model.text.streams import EncodedCorpus, split_text
from model.text.vocabulary import Vocabulary
from model.training.cost import check_fits
from model.training.trainer import Trainer
from repository import ROOT


@pytest.fixture(scope="module")
def book(wonderland_path: Path) -> PreparedCorpus:
    return prepare_corpus(resolve_corpus(str(wonderland_path)).text, ["cased", "lower", "letters"])


def uniform_model(config: TrialConfig, corpus: EncodedCorpus) -> CharLSTM:
    model = CharLSTM(config, len(corpus.vocabulary))
    torch.nn.init.zeros_(model.output.weight)
    torch.nn.init.zeros_(model.output.bias)
    return model


def validation_nats(model: Network, corpus: EncodedCorpus) -> float:
    passage, context = corpus.validation.symbols, corpus.train.symbols
    return float(symbol_nats(model, passage, context=context).sum())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cleaning", "validation", "test"),
    [("cased", 2.0416, 2.1354), ("lower", 1.9902, 2.0563), ("letters", 1.7234, 1.8018)],
)
def test_floor_of_the_reference_book(
    book: PreparedCorpus, cleaning: str, validation: float, test: float
) -> None:
    floor = book.floors.of_cleaning[cleaning]
    assert floor.validation_bits_per_char == pytest.approx(validation, abs=0.005)
    assert floor.test_bits_per_char == pytest.approx(test, abs=0.005)


@pytest.mark.parametrize(
    ("cleaning", "price"), [("cased", 0.0), ("lower", 0.0514), ("letters", 0.3182)]
)
def test_restoration_prices_of_the_reference_book(
    book: PreparedCorpus, cleaning: str, price: float
) -> None:
    measured = book.encoded[cleaning].validation.restoration_bits_per_char
    assert measured == pytest.approx(price, abs=0.003)


def test_price_of_a_long_text_is_measured_on_the_same_raw_characters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chance = np.random.default_rng(0)
    text = " ".join(chance.choice(["tea", "hare", "6 o'clock!", "12,", "Alice", "so;"], 6_000))
    num_train, num_scored = 3_000, 500
    monkeypatch.setattr(objective, "MAX_TRAIN_CHARS", num_train)
    monkeypatch.setattr(objective, "MAX_SCORED_CHARS", num_scored)
    prepared, split = prepare_corpus(text, ["letters"]), split_text(text)
    for cleaning, floor in prepared.floors.of_cleaning.items():
        vocabulary = Vocabulary.of(clean(text, cleaning))
        train, validation, test, before_test = (
            vocabulary.encode(clean(part, cleaning))
            for part in (
                split.train[-num_train:],
                split.validation[:num_scored],
                split.test[:num_scored],
                split.validation,
            )
        )
        ngram = Ngram.fit(train, vocabulary_size=len(vocabulary), order=prepared.floors.order)
        validation_bits = ngram.bits(validation, context=train)
        test_bits = ngram.bits(test, context=before_test)
        assert floor.validation_bits_per_char == pytest.approx(validation_bits / num_scored)
        assert floor.test_bits_per_char == pytest.approx(test_bits / num_scored)


def test_passage_of_which_a_cleaning_leaves_less_than_a_context_is_scored() -> None:
    digits = "0000100110101111" * 20  # each is known by the four before it: an order of 5
    text = ("abcd" * 140 + digits)[:800] + digits[:97] + "abc" + "abcd" * 25
    prepared = prepare_corpus(text, ["letters"])
    assert prepared.floors.order > len(prepared.encoded["letters"].validation.symbols) + 1
    assert prepared.floors.of_cleaning["letters"].test_bits_per_char < 1


def test_all_cleanings_are_judged_on_the_same_raw_characters(book: PreparedCorpus) -> None:
    assert {e.validation.num_raw_chars for e in book.encoded.values()} == {14_434}
    assert len(book.encoded["cased"].test.symbols) == 14_435


@pytest.mark.parametrize("cleaning", ["cased", "lower", "letters"])
def test_uniform_logits_score_what_one_works_out_by_hand(
    tiny_corpus: PreparedCorpus, tiny_config: TrialConfig, tiny_text: str, cleaning: str
) -> None:
    corpus = tiny_corpus.encoded[cleaning]
    model = uniform_model(tiny_config, corpus)
    nats = validation_nats(model, corpus)
    score = restored_bits_per_char(nats / math.log(2), corpus.validation)
    floors = tiny_corpus.floors.of_cleaning
    dropped = floors["cased"].validation_bits_per_char - floors[cleaning].validation_bits_per_char
    own_bits = len(corpus.validation.symbols) * math.log2(len(corpus.vocabulary))
    by_hand = own_bits / len(split_text(tiny_text).validation) + max(0.0, dropped)
    assert score == pytest.approx(by_hand, rel=1e-6)


def test_score_depends_on_neither_batch_size_nor_sequence_length(
    tiny_corpus: PreparedCorpus, tiny_config: TrialConfig
) -> None:
    scores = set()
    for batch_size, sequence_length in ((2, 8), (4, 32), (16, 5)):
        config = dataclasses.replace(
            tiny_config, batch_size=batch_size, sequence_length=sequence_length
        )
        trainer = Trainer(config, tiny_corpus.encoded["lower"])
        torch.manual_seed(0)  # the same network each time
        trainer.model = CharLSTM(config, len(trainer.corpus.vocabulary))
        scores.add(validation_nats(trainer.model, trainer.corpus))
    assert len(scores) == 1


def test_text_too_short_for_the_batch_is_refused(tiny_corpus: PreparedCorpus) -> None:
    corpus = tiny_corpus.encoded["lower"]
    num_train = len(corpus.train.symbols)
    most = TrialConfig(batch_size=num_train - 1, sequence_length=num_train - 1)
    check_fits(most, corpus)
    for axis in ("batch_size", "sequence_length"):
        with pytest.raises(CorpusError, match=f"{num_train + 1:,} symbols needed, {num_train:,}"):
            check_fits(dataclasses.replace(most, **{axis: num_train}), corpus)
    with pytest.raises(CorpusError, match="at least 1,000 characters, got 5"):
        prepare_corpus("short", ["cased"])


def test_price_can_be_less_than_what_was_dropped_is_worth() -> None:
    chance = random.Random(0)
    text = "".join(
        chance.choice("abcdefgh") * 4 + chance.choice("0123456789") for _ in range(20_000)
    )
    encoded = prepare_corpus(text, ["letters"]).encoded["letters"]
    assert encoded.validation.restoration_bits_per_char == pytest.approx(0.51, abs=0.01)
    assert math.log2(10) / 5 == pytest.approx(0.66, abs=0.01)
    page = " ".join((ROOT / "docs" / "objective.md").read_text(encoding="utf-8").split())
    assert "carry 0.66 bits per character but cost 0.51" in page
