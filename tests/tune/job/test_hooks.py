"""Trackers and notifications of a real search; a run folder that names some executes nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import documents
from repository import ROOT
from tiny_search import run_command, write_inputs

pytestmark = pytest.mark.usefixtures("measured_machine")

TRACKER = """
import threading

class Notes:
    def __init__(self, search):
        self.file = (search.folder / "notes.txt").open("a")
        print("begin", search.name, file=self.file)
    def trial_started(self, trial):
        print("start", trial.number, file=self.file)
    def epoch_ended(self, trial):
        print("epoch", trial.number, trial.epochs[-1].report, file=self.file)
    def trial_ended(self, trial):
        print("end", trial.number, trial.status.value, file=self.file)
    def close(self):
        self.file.close()

class Failing(Notes):
    def __init__(self, search): ...
    def trial_started(self, trial): raise OSError("no server at postgresql://me:hush@db")

class Hanging(Notes):
    def __init__(self, search): ...
    def trial_started(self, trial): threading.Event().wait()
"""
GIVES_UP_HANGING = """
import math, sys, time
from tune import run
from tune.monitoring.trackers import _Background

join = _Background.join
def join_late(tracker, deadline):
    join(tracker, time.monotonic() if tracker.name == "mine.py:Hanging" else math.inf)
_Background.join = join_late
sys.exit(run.main(sys.argv[1:]))
"""
"""A search that waits for no tracker that hangs at its end, and for the others without a limit."""


@pytest.mark.long
def test_search_tells_its_trackers_and_its_end_but_no_run_folder_does(tiny_text: str) -> None:
    Path("mine.py").write_text(TRACKER, encoding="utf-8")
    flags = [*write_inputs(tiny_text, trials=3), "--finalists", "0", "--name", "told"]
    hooks = ["--tracker", "mine.py:Hanging", "--tracker", "mine.py:Failing"]
    hooks += ["--tracker", "mine.py:Notes", "--notify", "cat > told.json # hush"]
    search = [sys.executable, "-c", GIVES_UP_HANGING, *flags, *hooks, "--max-concurrent", "1"]
    done = subprocess.run(search, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    for name in ("Failing", "Hanging"):
        assert done.stdout.count(f"mine.py:{name} failed and is disabled for this search: ") == 1
    assert "search: it did not process its last events within 60 s\n" in done.stdout
    notes, trials = Path("results/told/notes.txt"), Path("results/told/trials.csv")
    lines = notes.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "begin told"
    num_reports = len(Path("results/told/epochs.csv").read_text().splitlines()) - 1
    assert sum(line.startswith("epoch") for line in lines) >= num_reports
    assert {line.split()[1] for line in lines[1:]} == {"0", "1", "2"}
    values = json.loads(Path("told.json").read_text(encoding="utf-8"))
    assert (values["run"], values["exit_code"], values["trials"]) == ("told", 0, 3)
    kept = [path.read_text(encoding="utf-8") for path in Path("results/told").glob("*.*[ndl]")]
    assert len(kept) > 3 and not any("hush" in text for text in kept)

    # A stranger's run folder names what would be executed, in each way that one could think of.
    study = Path("results/told/study.json")
    named = {"tracker": ["mine.py:Notes"], "trackers": ["mine.py:Notes"], "mlflow": "sqlite:///x"}
    named |= {"notify": "touch told.json", "command": f"{values['command']} {' '.join(hooks)}"}
    study.write_text(json.dumps(json.loads(study.read_text()) | named), encoding="utf-8")
    Path("told.json").unlink()
    Path("mine.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    done = run_command(["--resume", "results/told", "--trials", "4", "--finalists", "0"])
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert len(trials.read_text().splitlines()) == 5
    assert notes.read_text(encoding="utf-8").splitlines() == lines
    assert not Path("told.json").exists()


@pytest.mark.slow
def test_tracker_that_cannot_be_had_is_one_line_before_the_text_is_read() -> None:
    flags = ["--space", "quick", "--corpus", "nowhere.txt"]
    for named in ("nowhere.py:Class", "nowhere"):
        done = run_command([*flags, "--tracker", named])
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert "tracker" in done.stderr and "nowhere" in done.stderr


@pytest.mark.long
def test_search_writes_its_trials_for_wandb(
    tiny_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason="pip install wandb, which takes 70 MB")
    monkeypatch.setenv("WANDB_MODE", "offline")
    flags = [*write_inputs(tiny_text, trials=2), "--finalists", "0", "--name", "told"]
    done = run_command([*flags, "--tracker", "tune.monitoring.wandb_log:WandbLog"])
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "failed" not in done.stdout
    files = list(Path("results/told/wandb").glob("offline-run-*/run-*.wandb"))
    assert {path.stem.rpartition("-")[2] for path in files} == {"0", "1"}
    assert all(b"val_bits_per_char" in path.read_bytes() for path in files)


@pytest.mark.long
def test_command_of_the_page_on_hooks_runs() -> None:
    page = ROOT / "docs" / "hooks.md"
    (tracker,) = documents.blocks(page, "python")
    Path("my_tracker.py").write_text(tracker, encoding="utf-8")
    sentence = "Alice was beginning to get very tired of sitting by her sister on the bank. "
    Path("book.txt").write_text(sentence * 100, encoding="utf-8")
    documents.run(documents.commands(page))
    curves = Path("results/told/curves.txt").read_text(encoding="utf-8").splitlines()
    epochs = pd.read_csv("results/told/epochs.csv")
    assert set(map(float, (line.split()[1] for line in curves))) >= set(
        epochs["val_bits_per_char"]
    )
    values = json.loads(Path("told.json").read_text(encoding="utf-8"))
    assert values["exit_code"] == 0 and values["trials"] == 10
    for key in values:
        assert f"`{key}`" in page.read_text(encoding="utf-8"), key
