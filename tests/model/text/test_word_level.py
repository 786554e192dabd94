"""Word-level models: streams, scores, checkpoints, text."""

import dataclasses
import json
import math
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from joined_tokens import join
from model import generate as generate_command
from model import train
from model.config import TrialConfig
from model.errors import CheckpointError, ConfigError
from model.generation.decoding import SamplingOptions, encode_prime, write_passages
from model.scoring.evaluation import score_test_passage
from model.scoring.objective import PreparedCorpus, prepare_corpus
from model.system.files import SUMS_FILE, write_sums
from model.text.corpus import resolve_corpus
from model.text.streams import split_text
from model.text.vocabulary import smallest_type
from model.text.words import Tokens, WordVocabulary, tokenize
from model.training.checkpoint import META_FILE, load_checkpoint
from model.training.cost import check_fits
from model.training.trainer import Trainer
from tune.records.run_folder import RunFolder
from tune.reporting.samples import write_samples
from tune.reporting.text_quality import Book

DRAWN = SamplingOptions(temperature=1.0)


@pytest.fixture(scope="module")
def text(tiny_text: str) -> str:
    """The tiny text, and words that stand only in one of its parts."""
    train_end = len(tiny_text) * 8 // 10
    return (
        "Only here: jabberwock. "
        + tiny_text[: train_end + 100]
        + "snark quokka snark quokka snark "
        + tiny_text[train_end + 100 :]
        + "snark quokka § snark quokka"
    )


@pytest.fixture(scope="module")
def prepared(text: str) -> PreparedCorpus:
    return prepare_corpus(text, ["cased", "lower"])


@pytest.fixture(scope="module")
def config(tiny_config: TrialConfig) -> TrialConfig:
    return dataclasses.replace(tiny_config, unit="word", hidden_size=16)


@pytest.fixture(scope="module")
def checkpoint(
    prepared: PreparedCorpus, config: TrialConfig, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("words") / "checkpoint"
    trainer = Trainer(config, prepared.streams(config))
    list(trainer.reports())
    trainer.save(folder)
    return folder


def vocabulary_of(prepared: PreparedCorpus, config: TrialConfig) -> WordVocabulary:
    vocabulary = prepared.streams(config).vocabulary
    assert isinstance(vocabulary, WordVocabulary)
    return vocabulary


def be_uniform(network: torch.nn.Module) -> None:
    for parameter in network.output.parameters():  # type: ignore[union-attr, operator]
        torch.nn.init.zeros_(parameter)


@pytest.mark.parametrize("min_word_count", [1, 2, 3])
def test_words_of_held_out_passages_are_neither_symbols_nor_learnt_to_spell(
    prepared: PreparedCorpus, config: TrialConfig, min_word_count: int
) -> None:
    config = dataclasses.replace(config, min_word_count=min_word_count)
    vocabulary, corpus = vocabulary_of(prepared, config), prepared.streams(config)
    for canary in ("snark", "quokka", "§"):
        assert canary not in vocabulary.tokens
        assert canary not in vocabulary.rare_words
    assert "§" in vocabulary.alphabet  # or it could not be spelled
    assert ("jabberwock" in vocabulary.tokens) == (min_word_count == 1)
    assert "jabberwock" in vocabulary.rare_words
    unknown = len(vocabulary) - 1
    assert (corpus.train.symbols == unknown).any() == (min_word_count > 1)
    assert (corpus.validation.symbols == unknown).sum() >= 5
    assert 0 < vocabulary.spelling_bits("snark quokka § §§") < math.inf


def test_counts_are_those_of_the_training_text() -> None:
    def vocabulary(min_word_count: int) -> WordVocabulary:
        return WordVocabulary.of(Tokens.of("a a a b b c."), "abc .", min_word_count=min_word_count)

    assert vocabulary(1).tokens == (".", "a", "b", "c")
    assert vocabulary(1).rare_words == (".", "c")
    assert vocabulary(2).tokens == ("a", "b")
    assert vocabulary(3).rare_words == (".", "b", "c")
    assert vocabulary(9).tokens == ()
    assert len(vocabulary(9)) == 1


def test_streams_say_the_text_and_what_spelling_costs(
    prepared: PreparedCorpus, config: TrialConfig, text: str
) -> None:
    corpus, vocabulary = prepared.streams(config), vocabulary_of(prepared, config)
    validation = split_text(text).validation.lower()
    tokens = list(tokenize(validation))
    assert len(corpus.validation.symbols) == len(tokens)
    names = [*vocabulary.tokens, None]
    pairs = zip(corpus.validation.symbols, tokens, strict=True)
    known = [names[index] or token for index, token in pairs]
    assert join(known) == validation
    spelled = [token for token in tokens if token not in vocabulary.tokens]
    by_hand = sum(vocabulary.spelling_bits(token) for token in spelled)
    assert corpus.validation.spelling_bits == pytest.approx(by_hand)
    assert corpus.num_chars == prepared.encoded["lower"].num_chars
    price = prepared.encoded["lower"].validation.restoration_bits_per_char
    assert corpus.validation.restoration_bits_per_char == price


@pytest.mark.parametrize("cleaning", ["cased", "lower"])
def test_uniform_network_scores_what_one_works_out_by_hand(
    prepared: PreparedCorpus, config: TrialConfig, text: str, cleaning: str
) -> None:
    config = dataclasses.replace(config, cleaning=cleaning, learning_rate=1e-30)
    corpus = prepared.streams(config)
    trainer = Trainer(config, corpus)
    be_uniform(trainer.model)
    report = next(trainer.reports())
    bits_a_word = math.log2(len(corpus.vocabulary))
    raw, own = split_text(text), len(split_text(text).validation)  # no cleaning here drops any
    own_bits = len(corpus.validation.symbols) * bits_a_word + corpus.validation.spelling_bits
    assert report.val_own_bits_per_char == pytest.approx(own_bits / own, rel=1e-5)
    assert report.val_nats_per_char == pytest.approx(own_bits / own * math.log(2), rel=1e-5)
    by_hand = own_bits / len(raw.validation) + corpus.validation.restoration_bits_per_char
    assert report.val_bits_per_char == pytest.approx(by_hand, rel=1e-5)
    train_bits = len(corpus.train.symbols) * bits_a_word + corpus.train.spelling_bits
    by_hand = train_bits / len(raw.train) * math.log(2)
    assert report.train_nats_per_char == pytest.approx(by_hand, rel=1e-5)
    floors = prepared.floors.of_cleaning
    price = floors["cased"].test_bits_per_char - floors[cleaning].test_bits_per_char
    test_bits = len(corpus.test.symbols) * bits_a_word + corpus.test.spelling_bits
    by_hand = test_bits / len(raw.test) + max(0.0, price)
    scored = score_test_passage(trainer.model, prepared, config, precision="float32")
    assert scored == pytest.approx(by_hand, rel=1e-5)


def test_streams_are_made_once_a_process_and_not_pickled(
    prepared: PreparedCorpus, config: TrialConfig
) -> None:
    before = len(pickle.dumps(prepared))
    assert prepared.streams(config) is prepared.streams(config)
    assert prepared.streams(TrialConfig(cleaning="lower")) is prepared.encoded["lower"]
    assert len(pickle.dumps(prepared)) == before
    elsewhere = pickle.loads(pickle.dumps(prepared)).streams(config)
    assert elsewhere.vocabulary == prepared.streams(config).vocabulary
    assert np.array_equal(elsewhere.train.symbols, prepared.streams(config).train.symbols)


def test_a_book_of_words_fills_no_wide_batch_and_is_taken(
    prepared: PreparedCorpus, config: TrialConfig
) -> None:
    corpus = prepared.streams(config)
    assert len(corpus.train.symbols) < 128 * 200
    wide = dataclasses.replace(config, batch_size=128, sequence_length=200, epochs=2)
    check_fits(wide, corpus)
    first, second = Trainer(wide, corpus).reports()
    assert second.val_bits_per_char < first.val_bits_per_char


def test_indices_take_the_smallest_type(prepared: PreparedCorpus, config: TrialConfig) -> None:
    assert prepared.streams(config).train.symbols.dtype == np.uint8
    # One number is left for padding.
    sizes = (255, 256, 32_767, 32_768)
    assert [smallest_type(size) for size in sizes] == [np.uint8, np.int16, np.int16, np.int32]
    many = " ".join(f"{number}" for number in range(300))
    encoded = WordVocabulary.of(Tokens.of(many), "0123456789 ", min_word_count=1).encode(many)
    assert encoded.dtype == np.int16 and encoded.max() == 299


def test_other_text_is_not_resumed(
    checkpoint: Path, config: TrialConfig, text: str, tiny_corpus: PreparedCorpus
) -> None:
    with pytest.raises(CheckpointError, match="a text with other symbols"):
        Trainer(config, tiny_corpus.streams(config)).restore(checkpoint)


def test_checkpoint_alone_reads_and_writes(
    checkpoint: Path, prepared: PreparedCorpus, config: TrialConfig
) -> None:
    files = {path for path in checkpoint.iterdir() if path.name != SUMS_FILE}
    assert {path.suffix for path in files} == {".safetensors", ".json"}
    network, meta = load_checkpoint(checkpoint)
    assert meta.config == config
    assert meta.vocabulary == vocabulary_of(prepared, config)
    assert meta.vocabulary.spelling_bits("snark") == pytest.approx(  # type: ignore[union-attr]
        vocabulary_of(prepared, config).spelling_bits("snark")
    )

    def written(**changes: int) -> list[str]:
        settings = {"num_chars": 200, "num_passages": 2, **changes}
        return write_passages(
            network, meta.vocabulary, prime="Alice ", cleaning="lower", options=DRAWN, **settings
        )

    passages = written()
    assert [len(passage) for passage in passages] == [200, 200]
    assert passages[0] != passages[1]
    assert written() == passages
    assert written(seed=1) != passages
    assert written(num_chars=1)[0] == passages[0][0]


def test_unknown_words_are_spelled_as_they_are_drawn(
    checkpoint: Path, prepared: PreparedCorpus
) -> None:
    network, meta = load_checkpoint(checkpoint)
    with torch.no_grad():
        network.output.bias[-1] = 1e4  # type: ignore[index]  # nothing but unknown words
    (passage,) = write_passages(
        network, meta.vocabulary, prime="", cleaning="lower", num_chars=300, options=DRAWN
    )
    words = passage.split()
    assert len(words) > 10 and len(set(words)) > 5
    assert set(passage) <= set(meta.vocabulary.alphabet)


def test_primes_may_have_unknown_words_and_end_in_a_space(
    checkpoint: Path,
) -> None:
    _, meta = load_checkpoint(checkpoint)
    vocabulary = meta.vocabulary
    assert isinstance(vocabulary, WordVocabulary)

    def prime(text: str) -> list[str | None]:
        names = [*vocabulary.tokens, None]
        return [names[index] for index in encode_prime(text, vocabulary, "lower").tolist()]

    assert prime("Alice, ") == ["alice", ",", " "]
    assert prime("The Hare ") == prime("the hare") == ["the", "hare"]
    assert prime("the Gryphon …") == ["the", None, " ", None]
    assert prime("") == [" "]
    # A word goes on after a space, whether the prime has it or not.
    always_tea = torch.tensor(vocabulary.tokens.index("tea"))
    for beginning, piece in (("the ", "tea"), ("the", " tea"), (", ", "tea"), ("'", "tea")):
        assert vocabulary.writer(beginning, lambda: 0.0)(int(always_tea)) == piece


def test_window_regime_refuses_words() -> None:
    with pytest.raises(ConfigError, match="unit must be char in the window regime, got 'word'"):
        TrialConfig(regime="window", unit="word")
    with pytest.raises(ConfigError, match="unknown unit 'words'; did you mean word"):
        TrialConfig(unit="words")
    with pytest.raises(ConfigError, match="min_word_count must be at least 1, got 0"):
        TrialConfig(unit="word", min_word_count=0)


def test_checkpoints_of_characters_made_before_still_load(
    trained_checkpoint: Path, tmp_path: Path
) -> None:
    older = Path(shutil.copytree(trained_checkpoint, tmp_path / "older"))
    values = json.loads((older / META_FILE).read_text(encoding="utf-8"))
    assert isinstance(values["vocabulary"], str)
    for name in ("unit", "min_word_count"):
        del values["config"][name]
    (older / META_FILE).write_text(json.dumps(values), encoding="utf-8")
    write_sums(older, ("model.safetensors", META_FILE))
    _, meta = load_checkpoint(older)
    assert meta.config.unit == "char"


@pytest.mark.parametrize("speller", [None, "witten-bell"])
def test_checkpoint_of_words_that_another_ngram_spells_is_refused(
    speller: str | None, checkpoint: Path, tmp_path: Path
) -> None:
    older = Path(shutil.copytree(checkpoint, tmp_path / "older"))
    values = json.loads((older / META_FILE).read_text(encoding="utf-8"))
    assert values["vocabulary"].pop("speller") == "kneser-ney"
    if speller is not None:
        values["vocabulary"]["speller"] = speller
    (older / META_FILE).write_text(json.dumps(values), encoding="utf-8")
    write_sums(older, ("model.safetensors", META_FILE))
    rule = rf"speller must be one of \('kneser-ney',\), got {speller!r}$"
    with pytest.raises(CheckpointError, match=rule):
        load_checkpoint(older)


def test_command_lines_train_and_write(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("book.txt").write_text(text, encoding="utf-8")
    flags = "--corpus book.txt --unit word --epochs 2 --hidden-size 8 --checkpoint kept"
    assert train.main([*flags.split(), "--min-word-count", "3"]) == 0
    assert "best:" in capsys.readouterr().out
    assert generate_command.main(["kept", "--chars", "60", "--prime", "The Jubjub"]) == 0
    assert len(capsys.readouterr().out) == len("The Jubjub") + 60 + 1
    assert generate_command.main(["kept", "--chars", "60", "--greedy"]) == 0
    assert train.main(["--regime", "window", *flags.split()]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_samples_of_a_run_say_that_they_are_words(
    checkpoint: Path, tiny_text: str, tmp_path: Path
) -> None:
    shutil.copytree(checkpoint, tmp_path / "run" / "checkpoints" / "01")
    book = Book(tiny_text)
    (sample,) = write_samples(
        RunFolder(tmp_path / "run"), book, top=3, num_chars=80, temperature=0.8, prime="The Jubjub"
    ).passages
    assert "1 x 16, words, lower, epoch" in sample.caption
    assert sample.text.startswith("the jubjub") and len(sample.text) == len("the jubjub") + 80
    assert sample.quality.own_bits_per_char is not None and sample.book is not None


@pytest.mark.slow
def test_words_of_the_reference_book(wonderland_path: Path) -> None:
    prepared = prepare_corpus(resolve_corpus(str(wonderland_path)).text, ["lower"])
    corpus = prepared.streams(TrialConfig(unit="word", min_word_count=2))
    assert len(corpus.train.symbols) == 33_841  # counted by another program, as is the next
    assert len(corpus.vocabulary) == 1_311
    assert corpus.validation.spelling_bits / 14_434 == pytest.approx(0.4481, abs=1e-4)


def test_vocabulary_without_words_is_told(
    tiny_text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("book.txt").write_text(tiny_text, encoding="utf-8")
    small = "--unit word --epochs 1 --hidden-size 4 --batch-size 4 --sequence-length 8"
    for count, told in (("1000000", 1), ("2", 0)):
        flags = ["--corpus", "book.txt", *small.split(), "--min-word-count", count]
        assert train.main(flags) == 0
        assert capsys.readouterr().out.count("no token occurs min_word_count times") == told


@pytest.mark.parametrize(
    ("rare_words", "alphabet"), [(("xyz",), ("a", "b")), (("a\0",), ("a", "b")), ((), ("a", "a"))]
)
def test_rare_words_of_other_characters_are_refused(
    rare_words: tuple[str, ...], alphabet: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError, match="alphabet must have each character once"):
        WordVocabulary(tokens=("a",), rare_words=rare_words, alphabet=alphabet)
