"""What commands print of a run does nothing to a terminal, whatever a stranger wrote into it."""

import dataclasses
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hand_made_run import SAMPLES, STUDY, hand_made
from model import generate, score
from model.generation.ending import Piece
from tune import report, samples, status
from tune.records.run_folder import RunFolder
from tune.records.samples_file import Samples
from tune.reporting.text_quality import Book

HOSTILE = "\x9b2J\u202egnp"
SHOWN = "\\x9b2J\\u202egnp"


@pytest.fixture
def run(tmp_path: Path) -> str:
    folder = RunFolder.create(tmp_path / "ten")
    corpus = dataclasses.replace(STUDY.corpus, name=HOSTILE, source=HOSTILE)
    machine = f"x86 {HOSTILE}"
    folder.write_study(dataclasses.replace(STUDY, corpus=corpus, machine=machine, ended=HOSTILE))
    folder.write_tables(hand_made())
    folder.history_file.write_bytes(b"")
    return str(folder.path)


@pytest.mark.slow
@pytest.mark.parametrize("main", [report.main, status.main])
def test_report_and_status(
    main: Callable[[list[str]], int], run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([run]) == 0
    printed = capsys.readouterr().out
    assert "u202egnp" in printed and not {"\x9b", "\u202e"} & {*printed}


def test_report_is_printed_harmless_whatever_it_holds(
    run: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tune.reporting.comparison.comparison", lambda runs: HOSTILE)
    other = shutil.copytree(run, f"{run}-again")
    assert report.main([run, other]) == 0
    assert capsys.readouterr().out == f"{SHOWN}\n"


def test_samples_on_a_terminal_alone_are_changed(
    run: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    passage = dataclasses.replace(SAMPLES.passages[0], caption=HOSTILE, text=f"Alice {HOSTILE}")
    written = Samples(passages=(passage,))
    monkeypatch.setattr("tune.reporting.samples.write_samples", lambda *_, **__: written)
    monkeypatch.setattr(Book, "of_run", lambda *_: None)
    for is_terminal in (True, False):
        monkeypatch.setattr(sys.stdout, "isatty", lambda known=is_terminal: known)
        assert samples.main([run]) == 0
        head, text, *_ = capsys.readouterr().out.splitlines()
        assert SHOWN in head
        assert text == f"Alice {SHOWN if is_terminal else HOSTILE}"


def test_text_on_a_terminal_alone_is_changed(
    trained_checkpoint: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pieces = [Piece(passage=0, text=HOSTILE, is_last=True)]
    monkeypatch.setattr(generate, "_pieces", lambda *_: iter(pieces))
    for is_terminal in (True, False):
        monkeypatch.setattr(sys.stdout, "isatty", lambda known=is_terminal: known)
        assert generate.main([str(trained_checkpoint), "--prime", HOSTILE]) == 0
        expected = SHOWN if is_terminal else HOSTILE
        assert capsys.readouterr().out == f"{expected}{expected}\n"


def test_name_of_a_text_that_is_scored(tiny_text: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(f"book{HOSTILE}.txt")
    path.write_text(tiny_text, encoding="utf-8")
    flags = ["ngram", "--text", str(path), "--part", "test"]
    assert score.main(flags) == 0
    printed = capsys.readouterr().out
    assert SHOWN in printed and HOSTILE not in printed
    assert score.main([*flags, "--json"]) == 0
    printed = capsys.readouterr().out
    assert printed.isascii() and HOSTILE in json.loads(printed)["text"]
