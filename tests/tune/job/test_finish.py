"""What is written when a search has ended, whatever goes wrong there."""

import dataclasses
import io
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from hand_made_run import hand_made
from model.scoring.resemblance import Resemblance
from tiny_search import write_inputs
from tune.job import finish
from tune.job.flags import options_to_repeat
from tune.job.options import parse_options
from tune.job.prepare import prepare
from tune.job.search import SearchResult
from tune.job.study_json import study_file
from tune.monitoring.json_events import JsonConsole
from tune.planning.study import Study, StudyOptions
from tune.records.load import LoadedRun
from tune.records.run_folder import RunFolder

RESULT = SearchResult(records=hand_made(), seconds=9.0, interrupted=False, timed_out=False)


def prepared(text: str) -> tuple[Study, Console]:
    """Return a search that is to be written as done, and where it prints."""
    _, space, _, corpus = write_inputs(text)
    console = Console(file=io.StringIO())
    return prepare(StudyOptions(space=space, corpus=corpus, name="done"), console), console


@pytest.mark.slow
def test_page_that_fails_does_not_cost_the_run_its_end(
    tiny_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, console = prepared(tiny_text)
    folder = RunFolder.create(study.run_path, study_file(study, None, None))

    def mistaken(run: LoadedRun, folder: RunFolder) -> None:
        raise KeyError("a picture's mistake")

    monkeypatch.setattr(finish, "write_page", mistaken)
    assert finish.finish(study, folder, RESULT, None, console) == 0
    assert folder.read_study().finished
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue()
    assert 'report.html could not be written: KeyError: "a picture\'s mistake"' in said

    def full(run: LoadedRun, folder: RunFolder) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(finish, "write_page", full)
    with pytest.raises(OSError, match="No space left"):
        finish.finish(study, folder, RESULT, None, console)
    assert not folder.read_study().finished
    assert Path("results/done/report.md").exists()


@pytest.mark.slow
def test_network_that_is_gone_is_told_and_so_is_a_warning_of_the_text(
    tiny_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, console = prepared(tiny_text)
    seen = Resemblance(validation_bits_per_char=5.0, training_bits_per_char=2.0)
    unlike = dataclasses.replace(study.prepared, resemblance=seen)
    study = dataclasses.replace(study, prepared=unlike)
    folder = RunFolder.create(study.run_path, study_file(study, None, None))
    assert folder.read_study().resemblance == seen
    monkeypatch.setattr(finish, "keep_checkpoints", lambda *_, **__: [3])
    assert finish.finish(study, folder, RESULT, None, console) == 0
    assert isinstance(console.file, io.StringIO)
    assert (
        "the network of trial 3 is missing; checkpoints/ has the next" in console.file.getvalue()
    )


@pytest.mark.slow
def test_run_that_had_finished_prints_the_last_event_and_says_so(tiny_text: str) -> None:
    study, console = prepared(tiny_text)
    folder = RunFolder.create(study.run_path, study_file(study, None, None))
    events = io.StringIO()
    assert finish.finish(study, folder, RESULT, None, JsonConsole(events)) == 0
    before = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")}
    assert finish.show_finished(study, folder, RESULT, JsonConsole(events)) == 0
    *_, first, warning, last = map(json.loads, events.getvalue().splitlines())
    assert warning["event"] == "warning"
    assert warning["text"].startswith("already finished, nothing to do; to continue: ")
    assert first | {"time": last["time"]} == last
    assert first["event"] == "search_ended" and first["ended"] == "all trials done"
    assert finish.show_finished(study, folder, RESULT, console) == 0
    assert isinstance(console.file, io.StringIO)
    assert "already finished, nothing to do; to continue: " in console.file.getvalue()
    assert before == {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")}


def test_printed_commands_are_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder(Path("my results/ten"))
    (run.path / "checkpoints" / "01").mkdir(parents=True)
    monkeypatch.setattr(sys, "executable", str(Path("my env/bin/python").resolve()))
    commands = [line for line in finish.last_words(run) if line.startswith("  ")]
    assert len(commands) == 4
    for line in [*commands, finish.resume_command(run)]:
        python, _, module, *words = shlex.split(line)
        assert python == "my env/bin/python" and module.partition(".")[0] in ("model", "tune")
        assert any(word.startswith("my results/ten") for word in words)


def test_command_that_continues_has_the_options_that_no_run_keeps() -> None:
    options = StudyOptions(
        space="quick",
        max_concurrent=1,
        gpus_per_trial=0.0,
        mlflow="sqlite:///my runs.db",
        tracker=["a.py:A", "b.py:B"],
        notify="mail me",
        trials=3,
    )
    command = finish.resume_command(RunFolder(Path("results/ten")), options_to_repeat(options))
    assert command.endswith(
        "--resume results/ten --max-concurrent 1 --gpus-per-trial 0.0 "
        "--mlflow 'sqlite:///my runs.db' --tracker a.py:A b.py:B"
    )
    parse_options(shlex.split(command)[3:])
    secret = StudyOptions(space="quick", mlflow="http://me:hush@host", cpus_per_trial=2)
    assert (
        options_to_repeat(secret) == " --cpus-per-trial 2"
        and options_to_repeat(StudyOptions(space="quick")) == ""
    )


@pytest.mark.slow
def test_why_nothing_was_confirmed_is_in_study_json(tiny_text: str) -> None:
    _, space, _, corpus = write_inputs(tiny_text)
    console = Console(file=io.StringIO())

    def reason(result: SearchResult | None, **words: Any) -> str | None:
        options = StudyOptions(space=space, corpus=corpus, name="done", **words)
        return study_file(prepare(options, console), result, None).unconfirmed

    result = SearchResult(records=hand_made(), seconds=9.0, interrupted=False, timed_out=False)
    no_room = dataclasses.replace(result, unconfirmed="no room")
    interrupted = dataclasses.replace(result, interrupted=True)
    assert reason(None) is None and reason(result) is None
    assert reason(no_room) == "no room"
    assert reason(interrupted) == "the search was interrupted"
    for each in (None, result, interrupted):
        assert reason(each, finalists=0) == "--finalists 0 was given"
    space = "documented"
    corpus = "long.txt"
    Path(corpus).write_text(tiny_text * 20, encoding="utf-8")
    unasked = "a space without axes has no finalists unless --finalists asks for them"
    assert reason(result) == unasked
    assert reason(result, finalists=3) is None


@pytest.mark.slow
@pytest.mark.parametrize("width", [50, 80, 300])
def test_table_fits_the_terminal_and_each_part_of_it_names_its_trials(
    tiny_text: str, width: int
) -> None:
    _, space, _, corpus = write_inputs(tiny_text)
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    study = prepare(StudyOptions(space=space, corpus=corpus, name="done"), console)
    folder = RunFolder.create(study.run_path, study_file(study, None, None))
    assert finish.finish(study, folder, RESULT, None, console) == 0
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue()
    table = said[said.index("best configurations") : said.index("noise: ")].splitlines()[1:]
    assert max(map(len, table)) <= width
    for axis in ("val_bits_per_char", "best_epoch", "status", "baseline"):
        assert sum(axis in line.split() for line in table) == 1
    numbers = [line.split()[0] for line in table if line[:1].isdigit()]
    assert (len(numbers) > len(set(numbers))) == (width < 300)
