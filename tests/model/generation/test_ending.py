"""Where passages begin and end, and that they are seen while they are written."""

import dataclasses
import io
import itertools
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from model import generate as command
from model.config import TrialConfig
from model.errors import ConfigError
from model.generation.decoding import SamplingOptions, stream_passages, write_passages
from model.generation.ending import Bounds, Passage
from model.scoring.objective import PreparedCorpus, prepare_corpus
from model.text.vocabulary import Vocabulary
from model.training.checkpoint import load_checkpoint
from model.training.trainer import Trainer
from repository import ROOT

NAMES = ("anna", "bertha", "carla", "dora", "emma", "frieda", "greta", "hanna")


def trained(config: TrialConfig, corpus: PreparedCorpus, folder: Path) -> Path:
    trainer = Trainer(config, corpus.streams(config))
    for _ in trainer.reports():
        pass
    trainer.save(folder)
    return folder


@pytest.fixture
def names(tiny_config: TrialConfig, tmp_path: Path) -> Path:
    """A checkpoint of a network of names, one a line."""
    drawn = random.Random(0).choices(NAMES, k=300)
    corpus = prepare_corpus("".join(f"{name}\n" for name in drawn), ["lower"])
    config = dataclasses.replace(tiny_config, epochs=10, dropout=0.0, input_dropout=0.0)
    return trained(config, corpus, tmp_path / "names")


@pytest.fixture
def words(tiny_config: TrialConfig, tiny_corpus: PreparedCorpus, tmp_path: Path) -> Path:
    config = dataclasses.replace(tiny_config, unit="word", min_word_count=13)
    return trained(config, tiny_corpus, tmp_path / "words")


def taken(bounds: Bounds, pieces: Sequence[str]) -> tuple[list[str], bool]:
    """Return what a passage takes of some texts until it is over, and whether it is."""
    passage, found = Passage(bounds), []
    for piece in pieces:
        if passage.is_over:
            break
        found.append(passage.take(piece))
    return found, passage.is_over


@pytest.mark.parametrize(
    ("bounds", "pieces", "expected", "is_over"),
    [
        (Bounds(num_chars=3), "abcdef", "abc", True),
        (Bounds(num_chars=9), "abc", "abc", False),
        (Bounds(num_chars=9, stop="b"), "abcb", "ab", True),
        (Bounds(num_chars=9, stop="bc"), "abbcc", "abbc", True),
        (Bounds(num_chars=9, stop="aab"), "aaabc", "aaab", True),
        (Bounds(num_chars=9, stop="the"), ["in", " the", "re"], "in the", True),
        (Bounds(num_chars=9, stop="n th"), ["in", " there"], "in th", True),
        (Bounds(num_chars=4, stop="the"), ["in", " there"], "in t", True),
        (Bounds(num_chars=9, stop="c", separator="b"), "abc", "ab", True),
        (Bounds(num_chars=9, separator="\n"), "\n\nab\ncd", "ab\n", True),
        (Bounds(num_chars=9, separator="\n\n"), "\na\n\nb", "\na\n\n", True),
        (Bounds(num_chars=9, separator="--"), "----a--", "a--", True),
        (Bounds(num_chars=3, separator="--"), "---a", "-", True),
        (Bounds(num_chars=2, separator="\n"), "\n\n\n", "", True),
        (Bounds(num_chars=9, separator=" "), [" ", " the", " end"], "the ", True),
    ],
)
def test_passage_ends_where_it_must(
    bounds: Bounds, pieces: Sequence[str], expected: str, is_over: bool
) -> None:
    found, over = taken(bounds, pieces)
    assert ("".join(found), over) == (expected, is_over)


@pytest.mark.parametrize("kind", ["trained_checkpoint", "words"])
def test_text_is_the_same_to_where_it_stops(kind: str, request: pytest.FixtureRequest) -> None:
    model, meta = load_checkpoint(request.getfixturevalue(kind))
    common = {
        "prime": "Alice ",
        "cleaning": "lower",
        "options": SamplingOptions(temperature=1.0),
        "seed": 3,
    }
    (whole,) = write_passages(model, meta.vocabulary, num_chars=300, **common)  # type: ignore[arg-type]
    stop = whole[200:203].upper()  # cleaned as the text is
    bounds = Bounds(num_chars=300, stop=stop)
    pieces = stream_passages(model, meta.vocabulary, bounds=bounds, **common)  # type: ignore[arg-type]
    expected = whole[: whole.index(stop.lower()) + 3]
    assert "".join(piece.text for piece in pieces) == expected


def test_passages_begin_after_the_separator(trained_checkpoint: Path) -> None:
    model, meta = load_checkpoint(trained_checkpoint)
    common = {"cleaning": "lower", "options": SamplingOptions(temperature=0.5), "seed": 4}
    after, alone = (
        write_passages(model, meta.vocabulary, prime=prime, num_chars=90, **common)[0]  # type: ignore[arg-type]
        for prime in ("!", "")
    )
    assert after != alone and "!" not in after
    bounds = Bounds(num_chars=90, separator="!")
    pieces = stream_passages(model, meta.vocabulary, prime="", bounds=bounds, **common)  # type: ignore[arg-type]
    assert "".join(piece.text for piece in pieces) == after


@pytest.mark.parametrize(
    ("bounds", "cleaning", "rule"),
    [
        ({"stop": ""}, "lower", "stop must have at least one character"),
        ({"separator": ""}, "lower", "separator must have at least one character"),
        ({"stop": "tea§"}, "lower", "stop must be made of the network's characters, got 'tea§'"),
        ({"stop": "\udcff"}, "cased", r"got '\\udcff' with '\\udcff'"),
        ({"separator": "\n"}, "letters", r"cleaning 'letters', got '\\n', of which it leaves ' '"),
        ({"stop": "b4"}, "letters", "cleaning 'letters', got 'b4', of which it leaves 'b'"),
        ({"num_chars": 0}, "lower", "^chars must be at least 1, got 0"),
    ],
)
def test_what_can_never_be_written_is_refused(
    bounds: dict[str, str], cleaning: str, rule: str
) -> None:
    vocabulary = Vocabulary.of("abet \n")
    with pytest.raises(ConfigError, match=rule):
        Bounds(**{"num_chars": 9, **bounds}).cleaned(cleaning, vocabulary)  # type: ignore[arg-type]


def test_each_line_is_a_name(names: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [str(names), "--per-line", "--passages", "20", "--temperature", "0.5"]
    assert command.main(flags) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 20 and all(lines)
    assert sum(line in NAMES for line in lines) >= 15
    assert command.main([*flags, "--prime", "Em"]) == 0
    assert all(line.startswith("Em") for line in capsys.readouterr().out.splitlines())
    assert command.main([*flags, "--chars", "2"]) == 0  # cut off, and a line each nevertheless
    assert {len(line) for line in capsys.readouterr().out.splitlines()} == {2}
    assert command.main([str(names), "--separator", "a\n", "--greedy"]) == 0
    passage = capsys.readouterr().out
    assert passage.endswith("a\n") and passage.count("a\n") == 1


def test_stop_ends_each_passage(
    trained_checkpoint: Path, words: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for checkpoint in (trained_checkpoint, words):
        flags = [str(checkpoint), "--prime", "alice ", "--passages", "2", "--stop", "o"]
        assert command.main(flags) == 0
        first, second = capsys.readouterr().out.removeprefix("--- 1\n").split("--- 2\n")
        for passage in (first, second):
            assert passage.startswith("alice ") and passage.endswith("o\n")
            assert passage.count("o") == 1
    assert command.main([str(trained_checkpoint), "--stop", "§"]) == 2
    assert command.main([str(trained_checkpoint), "--per-line", "--interactive"]) == 2
    assert command.main([str(trained_checkpoint), "--stop", "§", "--interactive"]) == 2
    assert capsys.readouterr().err.count("\n") == 3


def test_words_are_written_line_by_line(words: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(words), "--per-line", "--passages", "5", "--chars", "400"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 and all(lines)


def test_conversation_stops_at_the_string(
    trained_checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\nalic\n"))
    assert command.main([str(trained_checkpoint), "--interactive", "--stop", "e"]) == 0
    first, _, second = capsys.readouterr().out.strip().rpartition("\nalic")
    assert first.endswith("e") and second.endswith("e")


def test_text_is_printed_while_it_is_written(
    trained_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader who has seen enough ends what would never end."""
    shown = io.StringIO()
    steps = itertools.count()

    def enough() -> None:
        if len(shown.getvalue()) > 50:
            raise KeyboardInterrupt

    monkeypatch.setattr(shown, "flush", enough)
    monkeypatch.setattr("sys.stdout", shown)
    monkeypatch.setattr("time.monotonic", lambda: float(next(steps)))
    assert command.main([str(trained_checkpoint), "--chars", str(10**15)]) == 130


@pytest.mark.slow
def test_reader_of_a_pipe_sees_a_line_and_goes(trained_checkpoint: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "model.generate", str(trained_checkpoint), "--chars", str(10**15)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert len(process.stdout.readline()) > 1
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141
