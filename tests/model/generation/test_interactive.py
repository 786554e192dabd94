"""A conversation with a network, and the command line that begins it."""

import io
import itertools
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model import generate as command
from model.errors import ConfigError
from model.generation import interactive
from model.generation.decoding import SamplingOptions, stream_passages, write_passages
from model.generation.ending import Bounds
from model.generation.interactive import COMMANDS, Conversation, converse
from model.training.checkpoint import load_checkpoint


@pytest.fixture
def talk(trained_checkpoint: Path) -> Conversation:
    model, meta = load_checkpoint(trained_checkpoint)
    return Conversation(
        model=model,
        vocabulary=meta.vocabulary,
        cleaning=meta.config.cleaning,
        options=SamplingOptions(temperature=1.0),
        seed=0,
        num_chars=40,
    )


def test_stream_is_the_passage_that_is_written_at_once(talk: Conversation) -> None:
    common = {"prime": "Alice ", "cleaning": "lower", "options": talk.options, "seed": 3}
    (whole,) = write_passages(talk.model, talk.vocabulary, num_chars=50, **common)  # type: ignore[arg-type]
    bounds = Bounds(num_chars=1_000)
    pieces = stream_passages(talk.model, talk.vocabulary, bounds=bounds, **common)  # type: ignore[arg-type]
    assert "".join(next(pieces).text for _ in range(50)) == whole
    with pytest.raises(ConfigError, match="prime '§'"):
        stream_passages(
            talk.model,
            talk.vocabulary,
            bounds=bounds,
            **{**common, "prime": "§"},  # type: ignore[arg-type]
        )


def test_texts_of_one_seed_that_begin_otherwise_do_not_become_one(talk: Conversation) -> None:
    """The same draws from states that are soon alike gave the same text; a batch's has others."""
    talk.options, talk.num_chars = SamplingOptions(temperature=0.5), 500
    written = ["".join(talk.answer(line)) for line in ("Alice ", "", "", "he said ")]
    for one, other in itertools.combinations(written, 2):
        same = sum(a == b for a, b in zip(one[-400:], other[-400:], strict=True))
        assert same < 160  # 25 to 88; by chance alone the commonest characters agree


def test_beginning_goes_on_and_an_empty_line_asks_for_more(talk: Conversation) -> None:
    first = "".join(talk.answer("Alice "))
    assert first.startswith("Alice ") and len(first) == len("Alice ") + 40
    assert talk.text == first
    more = "".join(talk.answer(""))
    assert len(more) == 40 and talk.text == first + more
    assert "".join(talk.answer("Alice ")) == first  # the same seed
    assert "".join(talk.answer("/seed 7")) == "seed is now 7"
    assert "".join(talk.answer("Alice ")) != first
    assert "".join(talk.answer("/chars 5")) == "chars is now 5"
    assert len("".join(talk.answer("tea"))) == 8
    assert "".join(talk.answer("/temperature 0")) == "temperature is now 0.0"
    assert talk.options.temperature == 0.0
    assert all(name in "".join(talk.answer("/help")) for name in COMMANDS)


def test_beginning_may_have_a_slash(talk: Conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    primes: list[str] = []

    def passages(*_: Any, prime: str, **__: Any) -> Iterator[Any]:
        primes.append(prime)
        return iter(())

    monkeypatch.setattr(interactive, "stream_passages", passages)
    assert "".join(talk.answer("//* tea */")) == "/* tea */"
    assert "".join(talk.answer("///")) == "//"
    assert primes == ["/* tea */", "//"]
    assert "//" in "".join(talk.answer("/help"))


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("/temprature 1", "unknown command '/temprature'; did you mean /temperature?"),
        ("/temperature", "/temperature takes a number, got ''"),
        ("/temperature -1", "temperature must be at least 0"),
        ("/seed x", "/seed takes a whole number, got 'x'"),
        (f"/seed {2**64}", "seed must be in 0 <= seed < 2**63"),
        ("/chars 0", "chars must be at least 1"),
        ("§", "prime '§'"),
    ],
)
def test_mistake_is_told_and_the_conversation_goes_on(
    talk: Conversation, line: str, rule: str
) -> None:
    lines = iter([line, "tea"])
    said: list[str] = []

    def ask() -> str:
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    converse(talk, ask, said.append)
    assert rule in said[0] and said[0].count("\n") == 1
    assert "".join(said[1:]).startswith("tea")


def test_ctrl_c_ends_a_passage_and_at_the_prompt_the_conversation(talk: Conversation) -> None:
    lines: Iterator[str] = iter(["tea", "tea"])
    said: list[str] = []

    def ask() -> str:
        try:
            return next(lines)
        except StopIteration:
            raise KeyboardInterrupt from None

    def say(text: str) -> None:
        said.append(text)
        if len(said) == 5:
            raise KeyboardInterrupt

    converse(talk, ask, say)
    assert said[5] == " …\n"
    assert "".join(said[6:]).startswith("tea") and said[-1] == "\n"


def test_command_line_talks_with_what_is_piped_in(
    trained_checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("/chars 20\nalice\n/quit\nnever\n"))
    assert command.main([str(trained_checkpoint), "--interactive"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("chars is now 20\nalice") and "never" not in out
    assert len(out.splitlines()[1:]) >= 1


@pytest.mark.parametrize(
    ("flag", "rule"),
    [("--chars=-3", "chars must be at least 1, got -3"), ("--seed=-3", "seed must be in 0 <= ")],
)
def test_conversation_takes_the_numbers_that_a_passage_takes(
    flag: str, rule: str, trained_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([str(trained_checkpoint), "--interactive", flag]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"model.generate: {rule}") and error.count("\n") == 1


def test_line_that_is_no_utf_8_is_told_and_the_conversation_goes_on(
    trained_checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    piped = io.BytesIO(b"\xff\n/chars 20\nalice\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(piped, encoding="utf-8"))
    assert command.main([str(trained_checkpoint), "--interactive"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [r"a prime must be UTF-8, got '\udcff'", "chars is now 20"]
    assert lines[2].startswith("alice")


@pytest.mark.slow
def test_on_a_terminal_it_prompts_and_ends_by_ctrl_d(trained_checkpoint: Path) -> None:
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "model.generate", str(trained_checkpoint), "--interactive"],
        stdin=terminal,
        stdout=terminal,
        stderr=subprocess.PIPE,
    )
    os.close(terminal)
    shown = b""

    def read_until_prompt() -> None:
        nonlocal shown
        start = len(shown)
        while not shown[start:].endswith(b"> "):
            shown += os.read(controller, 4_096)

    try:
        for keys in (b"/chars 20\n", b"alice\n", b"\x04"):
            read_until_prompt()
            os.write(controller, keys)
        while chunk := os.read(controller, 4_096):
            shown += chunk
    except OSError:  # the terminal is closed: the process has ended
        pass
    except BaseException:
        process.kill()
        raise
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert errors == b""
    assert b"> " in shown and b"chars is now 20" in shown and b"Ctrl-D ends" in shown
