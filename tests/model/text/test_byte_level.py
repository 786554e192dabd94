"""Byte-level models: streams, scores, checkpoints, text."""

import dataclasses
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model import generate as generate_command
from model import score, train
from model.config import TrialConfig
from model.errors import CheckpointError, ConfigError
from model.generation.decoding import SamplingOptions, encode_prime, write_passages
from model.generation.ending import Bounds
from model.generation.own_bits import own_bits_per_char
from model.scoring import text_score
from model.scoring.evaluation import score_test_passage
from model.scoring.letters import score_letters
from model.scoring.objective import PreparedCorpus, prepare_corpus
from model.scoring.scored_model import ScoredModel
from model.scoring.text_score import score_text
from model.system.files import write_sums
from model.text.streams import encode_in, split_text
from model.text.utf8 import NUM_BYTES, ByteVocabulary
from model.training.checkpoint import META_FILE, load_checkpoint
from model.training.predictor import load_network
from model.training.trainer import Trainer

BYTES = ByteVocabulary()
SENTENCE = "Ça va, 漢字か? 🐇 naïve Zoë, déjà vu.\n"
TEXT = SENTENCE * 60
STRANGE = "Ελλάδα 中文 \U0010ffff"
"""Characters that the text does not have."""


def written(symbols: list[int]) -> str:
    write = BYTES.writer("", lambda: 0.0)
    return "".join(map(write, symbols))


@given(st.text())
def test_what_is_written_of_what_was_read_is_the_text(text: str) -> None:
    symbols = BYTES.encode(text)
    assert symbols.dtype == np.uint8 and symbols.tolist() == list(text.encode())
    assert symbols.max(initial=0) < NUM_BYTES == len(BYTES)
    assert written(symbols.tolist()) == text
    assert not BYTES.unknown_chars(text)


@pytest.mark.slow
@given(st.lists(st.integers(0, NUM_BYTES - 1)))
def test_any_bytes_are_written_as_pythons_decoder_has_them(symbols: list[int]) -> None:
    symbols = [*symbols, ord(".")]  # or the last character might not be whole
    assert written(symbols) == bytes(symbols).decode(errors="replace")


def test_no_character_has_a_byte_that_is_no_symbol() -> None:
    assert max("\U0010ffff".encode()) == NUM_BYTES - 1
    with pytest.raises(ConfigError, match=r"characters of UTF-8 alone, got '\\udcff'"):
        BYTES.encode("a\udcff")
    assert BYTES.unknown_chars("aé\udcff\ud800") == set(map(chr, (0xDCFF, 0xD800)))
    with pytest.raises(ConfigError, match="stop must be made of the network's characters"):
        Bounds(num_chars=9, stop="\udcff").cleaned("cased", BYTES)
    with pytest.raises(ConfigError, match="a prime must be UTF-8"):
        encode_prime("\udcff", BYTES, "cased")


@pytest.fixture(scope="module")
def prepared() -> PreparedCorpus:
    return prepare_corpus(TEXT, ["cased", "lower"])


@pytest.fixture(scope="module")
def config(tiny_config: TrialConfig) -> TrialConfig:
    # Columns and windows begin within characters: 7 and 4 share no length with the sentence.
    return dataclasses.replace(
        tiny_config, unit="byte", cleaning="cased", hidden_size=32, epochs=8, sequence_length=7
    )


@pytest.fixture(scope="module")
def trainer(prepared: PreparedCorpus, config: TrialConfig) -> Trainer:
    trainer = Trainer(config, prepared.streams(config))
    list(trainer.reports())
    return trainer


@pytest.fixture(scope="module")
def checkpoint(trainer: Trainer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bytes") / "checkpoint"
    trainer.save(folder)
    return folder


def be_uniform(network: torch.nn.Module) -> None:
    for parameter in network.output.parameters():  # type: ignore[union-attr, operator]
        torch.nn.init.zeros_(parameter)


def test_streams_are_the_bytes_of_the_parts_and_made_once(
    prepared: PreparedCorpus, config: TrialConfig
) -> None:
    corpus, split = prepared.streams(config), split_text(TEXT)
    for symbols, part in (
        (corpus.train.symbols, split.train),
        (corpus.validation.symbols, split.validation),
        (corpus.test.symbols, split.test),
    ):
        assert symbols.tobytes() == part.encode() and symbols.dtype == np.uint8
    assert corpus.validation.num_chars == len(split.validation)
    assert corpus is prepared.streams(dataclasses.replace(config, hidden_size=4))


def test_uniform_network_scores_what_one_works_out_by_hand(
    prepared: PreparedCorpus, config: TrialConfig
) -> None:
    config = dataclasses.replace(config, learning_rate=1e-30, epochs=1)
    trainer = Trainer(config, prepared.streams(config))
    be_uniform(trainer.model)
    report = next(trainer.reports())
    split = split_text(TEXT)
    bits = {
        part: len(getattr(split, part).encode()) / len(getattr(split, part)) * math.log2(NUM_BYTES)
        for part in ("train", "validation", "test")
    }
    assert bits["validation"] > 1.2 * math.log2(NUM_BYTES)  # several bytes a character
    # The raw text itself: nothing to restore.
    assert report.val_bits_per_char == pytest.approx(bits["validation"], rel=1e-5)
    assert report.val_own_bits_per_char == pytest.approx(bits["validation"], rel=1e-5)
    assert report.val_nats_per_char == pytest.approx(bits["validation"] * math.log(2), rel=1e-5)
    train_symbols = len(prepared.streams(config).train.symbols)
    assert report.train_nats_per_char == pytest.approx(
        math.log(NUM_BYTES) * train_symbols / len(split.train), rel=1e-5
    )
    scored = score_test_passage(trainer.model, prepared, config, precision="float32")
    assert scored == pytest.approx(bits["test"], rel=1e-5)


@pytest.mark.slow
def test_checkpoint_writes_whole_characters_side_by_side(checkpoint: Path) -> None:
    network, meta = load_checkpoint(checkpoint)
    assert meta.vocabulary == BYTES

    def texts(**changes: Any) -> list[str]:
        settings = {"prime": "Ça va, 漢", "num_chars": 120, "num_passages": 4, **changes}
        options = SamplingOptions(temperature=0.6)
        return write_passages(
            network, meta.vocabulary, cleaning="cased", options=options, **settings
        )

    passages = texts()
    assert [len(passage) for passage in passages] == [120] * 4
    # Four passages take turns, byte by byte: each has a decoder of its own.
    together = "".join(passages)
    assert len({*together} & {*SENTENCE} - {chr(code) for code in range(128)}) >= 5
    assert together.count("\N{REPLACEMENT CHARACTER}") < len(together) / 20
    assert texts() == passages
    assert texts(num_chars=1) == [passage[0] for passage in passages]
    assert texts(prime="") and texts(prime=STRANGE)


def test_bytes_that_make_no_character_are_told_and_the_passage_has_its_length(
    checkpoint: Path,
) -> None:
    network, meta = load_checkpoint(checkpoint)
    with torch.no_grad():
        network.output.bias[0xC3] = 1e4  # type: ignore[index]  # nothing but first bytes
    (passage,) = write_passages(
        network,
        meta.vocabulary,
        prime="",
        cleaning="cased",
        num_chars=9,
        options=SamplingOptions(temperature=1.0),
    )
    assert passage == 9 * "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("block", [1, 2, 5, 10_000])
def test_score_is_that_of_the_bytes_wherever_a_block_ends(
    trainer: Trainer,
    prepared: PreparedCorpus,
    config: TrialConfig,
    block: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(text_score, "BLOCK_SYMBOLS", block)
    be_uniform(uniform := Trainer(config, prepared.streams(config)).model)
    for network in (uniform, trainer.model):
        model = ScoredModel.of_network(network, BYTES, cleaning="cased", description="bytes")
        text = f"{SENTENCE}{STRANGE}"
        found = score_text(
            model.symbol_nats, BYTES, text, cleaning="cased", context=model.context(SENTENCE)
        )
        assert (found.num_symbols, found.num_unknown_chars) == (len(text.encode()), 0)
        assert found.num_bytes == found.num_symbols and found.num_raw_chars == len(text)
        bits = found.figures()["bits_per_byte"]
        assert bits is not None and math.isfinite(bits)
        if network is uniform:
            assert bits == pytest.approx(math.log2(NUM_BYTES))


def test_restored_bits_are_what_the_score_of_the_part_says(
    checkpoint: Path,
    prepared: PreparedCorpus,
    config: TrialConfig,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("book.txt").write_text(TEXT, encoding="utf-8")
    arguments = [str(checkpoint), "--text", "book.txt", "--part", "validation", "--json"]
    assert score.main(arguments) == 0
    values = json.loads(capsys.readouterr().out)
    network, meta = load_checkpoint(checkpoint)
    best = meta.metrics.val_bits_per_char
    assert values["restored_bits_per_raw_char"] == pytest.approx(best, rel=1e-5)
    validation = split_text(TEXT).validation
    per_byte = best * len(validation) / len(validation.encode())
    assert values["bits_per_byte"] == pytest.approx(per_byte, rel=1e-5)
    # A text of other characters is read too, nothing is spelled, and it costs more.
    Path("other.txt").write_text(60 * STRANGE, encoding="utf-8")
    assert score.main([str(checkpoint), "--text", "other.txt", "--json"]) == 0
    others = json.loads(capsys.readouterr().out)
    assert others["num_unknown_chars"] == 0 and others["bits_per_byte"] > values["bits_per_byte"]
    assert score.main([*arguments, "--windows", "9x5"]) == 0
    assert "not_priced" not in json.loads(capsys.readouterr().out)
    assert score_letters(network, prepared.streams(config), seed=0, with_trend=False) is None  # type: ignore[arg-type]


def test_own_bits_are_those_of_the_bytes(prepared: PreparedCorpus, config: TrialConfig) -> None:
    be_uniform(network := Trainer(config, prepared.streams(config)).model)
    texts = ["naïve", STRANGE, "a\N{REPLACEMENT CHARACTER}"]
    found = own_bits_per_char(network, BYTES, texts, prime="", cleaning="cased")
    expected = [len(text.encode()) / len(text) * math.log2(NUM_BYTES) for text in texts]
    assert found == pytest.approx(expected, rel=1e-5)


def test_training_goes_on_with_a_text_of_other_characters(
    prepared: PreparedCorpus, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("book.txt").write_text(TEXT, encoding="utf-8")
    Path("other.txt").write_text(60 * f"{STRANGE} {SENTENCE}", encoding="utf-8")
    flags = "--unit byte --cleaning cased --epochs 2 --hidden-size 8 --checkpoint kept"
    assert train.main(["--corpus", "book.txt", *flags.split()]) == 0
    further = "--init kept --corpus other.txt --epochs 1 --checkpoint finer"
    assert train.main(further.split()) == 0
    assert "started with the weights of" in capsys.readouterr().out
    assert ", bytes, cased, epoch" in load_network(Path("kept")).description
    assert train.main(["--init", "kept", "--unit", "char", "--corpus", "book.txt"]) == 2
    assert "unit must be that of the weights in kept, 'byte'" in capsys.readouterr().err
    assert generate_command.main(["finer", "--chars", "60", "--prime", "Ω"]) == 0
    assert len(capsys.readouterr().out) == len("Ω") + 60 + 1
    elsewhere = encode_in(prepared.encoded["lower"], BYTES)
    assert elsewhere.train.symbols.tobytes() == split_text(TEXT).train.lower().encode()


@pytest.mark.parametrize(
    ("flags", "rule"),
    [
        ("--unit byte", "cleaning must be cased with unit byte, got 'lower'"),
        ("--unit byte --cleaning letters", "cleaning must be cased with unit byte, got 'letters'"),
        (
            "--unit byte --cleaning cased --regime window",
            "unit must be char in the window regime, got 'byte'",
        ),
        ("--unit bytes --cleaning cased", "unknown unit 'bytes'; did you mean byte?"),
    ],
)
def test_what_bytes_cannot_be_is_one_line_and_exit_code_2(
    flags: str, rule: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("book.txt").write_text(TEXT, encoding="utf-8")
    assert train.main(["--corpus", "book.txt", *flags.split()]) == 2
    error = capsys.readouterr().err
    assert rule in error and error.count("\n") == 1


HOSTILE = {
    "another encoding": ({"encoding": "utf-16"}, "byte", "encoding must be one of"),
    "an encoding that is code": ({"encoding": ["os.system"]}, "byte", "encoding must be one of"),
    "no encoding": ({}, "byte", "alphabet must be str"),
    "characters": ("abc", "byte", "must be of the configuration's unit, byte, got one of char"),
    "bytes of words": ({"encoding": "utf-8"}, "word", "unit, word, got one of byte"),
    "bytes of characters": ({"encoding": "utf-8"}, "char", "unit, char, got one of byte"),
    "no alphabet": (
        {"tokens": ["a"], "rare_words": [], "alphabet": "", "speller": "kneser-ney"},
        "word",
        "an alphabet must not be empty",
    ),
    "a list": ([1, 2], "byte", "vocabulary must be an object"),
}


@pytest.mark.parametrize(("vocabulary", "unit", "rule"), HOSTILE.values(), ids=[*HOSTILE])
def test_checkpoint_with_a_vocabulary_of_another_kind_is_damaged(
    vocabulary: Any,
    unit: str,
    rule: str,
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hostile = tmp_path / "hostile"
    shutil.copytree(checkpoint, hostile)
    values = json.loads((hostile / META_FILE).read_text(encoding="utf-8"))
    assert values["vocabulary"] == {"encoding": "utf-8"}
    values["vocabulary"], values["config"]["unit"] = vocabulary, unit
    (hostile / META_FILE).write_text(json.dumps(values), encoding="utf-8")
    write_sums(hostile, ("model.safetensors", META_FILE, "training.safetensors"))
    with pytest.raises(CheckpointError, match=rule):
        load_checkpoint(hostile)
    Path("book.txt").write_text(TEXT, encoding="utf-8")
    for flags in (["--init", str(hostile)], ["--checkpoint", str(hostile), "--resume"]):
        assert train.main([*flags, "--corpus", "book.txt"]) == 2
        assert capsys.readouterr().err.count("\n") == 1
