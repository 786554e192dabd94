"""What all commands have in common: help, completion, mistakes."""

import importlib
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from model.system.command_line import ended_quietly
from repository import ROOT
from tune.job.options import parse_options

COMMANDS = (
    *("tune.run", "tune.report", "tune.samples", "tune.status", "tune.control"),
    *("model.train", "model.generate"),
)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_three_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(name).main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert shown.isascii()  # any terminal can show it
    examples = shown.partition("examples:")[2].splitlines()
    assert sum(f"python -m {name}" in line for line in examples) >= 3
    assert max(len(line) for line in examples) < 100


def test_word_too_many_may_be_a_part_of_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        importlib.import_module("tune.status").main(["my", "great run"])
    told = "tune.status: unexpected 'great run'; a name with blanks needs quotes; see --help\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("name", ["tune.samples", "model.generate", "model.score"])
def test_word_after_the_cells_is_told_where_it_belongs(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        importlib.import_module(name).main(["--cell", "my_cells.py:MyCell", "results/ten"])
    told = capsys.readouterr().err
    assert "FILE.py:CLASS, got 'results/ten'; put other arguments before --cell" in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_shells_can_complete(name: str) -> None:
    source = (ROOT / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8")
    assert "PYTHON_ARGCOMPLETE_OK" in source[:1_024]  # what argcomplete looks for


def test_words_that_cannot_be_written_down_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_options(["--space", "quick", "--corpus", "b\udcff.txt"])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and r"must be UTF-8, got 'b\udcff.txt'" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("encoding", "expected"), [("ascii", b"????? ?"), ("latin-1", b"????? \xe9")]
)
def test_command_shows_another_letter_where_the_encoding_lacks_one(
    encoding: str, expected: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding=encoding))

    def command() -> int:
        print("книга é", end="")
        return 0

    assert ended_quietly("a command", command) == 0
    assert buffer.getvalue() == expected


@pytest.mark.slow
def test_reader_that_went_ends_a_command_quietly(trained_checkpoint: Path, tiny_text: str) -> None:
    Path("book.txt").write_text(tiny_text, encoding="utf-8")
    flags = "--corpus book.txt --epochs 1000 --hidden-size 8 --checkpoint kept"
    reference = ROOT / "results" / "reference"
    for command in (
        f"model.train {flags}",
        f"model.generate {trained_checkpoint} --chars 9",
        f"tune.report {reference / 'full'} {reference / 'extended'}",
    ):
        with subprocess.Popen(
            [sys.executable, "-m", *command.split()],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.close()
            complaint = process.stderr.read()
        assert (complaint, process.returncode) == (b"", 141)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("python -m tune.run --time-b", {"--time-budget "}),
        ("python -m tune.run --space f", {"full "}),
        ("python -m tune.run --sampler tpe-", {"tpe-univariate "}),
        ("python -m tune.run --log-format j", {"json "}),
    ],
)
def test_completions(line: str, expected: set[str]) -> None:
    pytest.importorskip("argcomplete", reason="pip install argcomplete")
    environment = {
        **os.environ,
        "_ARGCOMPLETE": "3",  # python, -m and the module's name stand before the options
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": "completions",
        "_ARGCOMPLETE_COMP_WORDBREAKS": " ",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    done = subprocess.run(
        [sys.executable, "-m", line.split()[2]], env=environment, capture_output=True
    )
    assert done.returncode == 0
    found = Path("completions").read_text(encoding="utf-8")
    assert set(found.split("\n")) == expected


def test_without_argcomplete_a_command_still_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_ARGCOMPLETE", "3")
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    from tune.job.options import parser

    assert parser().parse_args(["--space", "quick"]).space == "quick"
