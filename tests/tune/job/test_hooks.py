"""Trackers and notifications of a real search; a run folder that names some executes nothing."""

import json
from pathlib import Path

import pandas as pd
import pytest

import documents
from repository import ROOT
from tiny_search import run_command, write_inputs

TRACKER = """
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
"""


@pytest.mark.long
def test_search_tells_its_trackers_and_its_end_but_no_run_folder_does(tiny_text: str) -> None:
    Path("mine.py").write_text(TRACKER, encoding="utf-8")
    flags = [*write_inputs(tiny_text, trials=3), "--finalists", "0", "--name", "told"]
    hooks = ["--tracker", "mine.py:Failing", "--tracker", "mine.py:Notes"]
    hooks += ["--notify", "cat > told.json # hush"]
    done = run_command([*flags, *hooks, "--max-concurrent", "1"])
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert done.stdout.count("mine.py:Failing failed and is disabled for this search: ") == 1
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


def test_tracker_that_cannot_be_had_is_one_line_before_the_text_is_read() -> None:
    flags = ["--space", "quick", "--corpus", "nowhere.txt"]
    for named in ("nowhere.py:Class", "nowhere"):
        done = run_command([*flags, "--tracker", named])
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert "tracker" in done.stderr and "nowhere" in done.stderr


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
