"""A search of a cell of the user's own; a run that names one executes nothing."""

import dataclasses
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

import documents
import own_cell
from hand_made_run import SPACE, STUDY, curve, loaded_run
from model import generate
from model.errors import ConfigError
from model.network import own_cells
from model.network.own_cells import own_cell as known_cell
from model.system.command_line import OneLineParser, add_cell_option
from model.text.corpus import resolve_corpus
from own_cell import NAME
from search_spaces import load_space
from search_spaces.cells import with_cells
from tiny_search import run_command, write_inputs
from tune import report, run, samples, status
from tune.job.finish import resume_command
from tune.job.from_python import load_run
from tune.job.options import parse_options
from tune.job.prepare import prepare
from tune.job.resume import prepared_study
from tune.job.study_json import study_file
from tune.monitoring.status import RunStatus
from tune.planning.finalist_budget import choose
from tune.planning.study import StudyOptions
from tune.records.history import History, TrialStarted
from tune.records.run_folder import RunFolder
from tune.records.study_file import CorpusOrigin
from tune.records.trial import Status, TrialRecord
from tune.reporting.best_of_each import best_of_each_group
from tune.reporting.headline import headline
from tune.reporting.section import markdown

pytestmark = pytest.mark.usefixtures("measured_machine")

QUIET = Console(quiet=True)


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_cells, "_KNOWN", {})


@pytest.fixture
def theirs(tiny_text: str) -> StudyOptions:
    """Options that resume a run with a cell of the user's own, which is known no more."""
    Path("text.txt").write_text(tiny_text, encoding="utf-8")
    own_cell.write()
    options = StudyOptions(space="quick", corpus="text.txt", cell=("lstm", NAME))
    study = prepare(options, QUIET)
    folder = RunFolder.create(Path("run"))
    folder.write_study(dataclasses.replace(study_file(study, None, None), settings=STUDY.settings))
    own_cells._KNOWN.clear()
    return StudyOptions(resume="run", trials=30)


def test_study_keeps_the_sum_of_the_file_and_the_option_that_resumes_it(
    theirs: StudyOptions,
) -> None:
    stored = RunFolder(Path("run")).read_study()
    prepared_study(dataclasses.replace(theirs, cell=(NAME,)), QUIET)
    assert stored.cells == {NAME: known_cell(NAME).sha256}
    assert stored.resume.endswith(f" --cell {NAME}")
    assert stored.space.values("cell") == ["lstm", NAME]


def test_commands_that_go_on_name_all_cells(
    tiny_text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("text.txt").write_text(tiny_text, encoding="utf-8")
    cells = (own_cell.write(), f"{Path.cwd() / 'of others'}/their_cells.py:MyGRU")
    Path("of others").mkdir()
    shutil.copy("my_cells.py", "of others/their_cells.py")
    study = prepare(StudyOptions(space="quick", corpus="text.txt", cell=cells), QUIET)
    folder = RunFolder.create(Path("run"), study_file(study, None, None))
    folder.history_file.write_bytes(b"")
    assert _cells_of(resume_command(folder)) == cells
    names = (NAME, "their_cells.py:MyGRU")
    assert _cells_of(folder.read_study().resume) == names
    assert status.main(["run"]) == 0
    (goes_on,) = re.findall("to continue: (.*)", capsys.readouterr().out)
    assert _cells_of(goes_on) == names
    stored = folder.read_study()
    folder.write_study(dataclasses.replace(stored, cells={"../x\n.py:X": "", **stored.cells}))
    assert RunStatus.of(folder).state.endswith(goes_on)  # what is no name of a cell is not typed


def _cells_of(command: str) -> tuple[str, ...]:
    return tuple(parse_options(shlex.split(command)[3:]).cell)


def test_all_commands_take_cells_in_both_spellings() -> None:
    parser = OneLineParser(prog="x", description="")
    add_cell_option(parser)
    for words in (["--cell", "a.py:A", "b.py:B"], ["--cell", "a.py:A", "--cell", "b.py:B"]):
        assert parser.parse_args(words).cell == ["a.py:A", "b.py:B"]
        assert parse_options(["--space", "full", *words]).cell == ["a.py:A", "b.py:B"]
    assert parser.parse_args([]).cell == []


@pytest.mark.slow
def test_resumed_run_needs_the_file_that_it_began_with(theirs: StudyOptions) -> None:
    with pytest.raises(ConfigError, match=f"the file of the cell {NAME} must be named.*--cell"):
        prepared_study(theirs, QUIET)
    for cells in ((NAME,), (f"./{NAME}",), ("lstm", NAME)):
        assert prepared_study(dataclasses.replace(theirs, cell=cells), QUIET)
    rule = "cell must be one of the resumed run's, lstm, my_cells.py:MyGRU, got 'gru'"
    with pytest.raises(ConfigError, match=rule):
        prepared_study(dataclasses.replace(theirs, cell=("gru", NAME)), QUIET)
    own_cell.write(change=("num_states = 1", "num_states = 1  # other"))
    rule = f"the file of the cell {NAME} must be the one that the run began with, sha256 "
    with pytest.raises(ConfigError, match=rule):
        prepared_study(dataclasses.replace(theirs, cell=(NAME,)), QUIET)


def test_each_cell_that_a_user_compares_has_a_finalist_and_a_row(tiny_text: str) -> None:
    """`gru` is slow to start: ASHA stopped each of its trials, and each `lstm` is better."""
    Path("text.txt").write_text(tiny_text, encoding="utf-8")
    study = prepare(StudyOptions(space="quick", corpus="text.txt", cell=("lstm", "gru")), QUIET)
    base = study.space.base
    slow = dataclasses.replace(base, cell="gru")
    records = [
        TrialRecord(
            number=number,
            config=dataclasses.replace(base, hidden_size=64 + number),
            status=Status.COMPLETE,
            epochs=curve(number, [2.5, 2.0 + number / 100]),
        )
        for number in range(4)
    ]
    records.append(
        TrialRecord(number=4, config=slow, status=Status.PRUNED, epochs=curve(4, [3.4]))
    )
    chosen = choose(records, study.settings.finalists, study.space.budget.group)
    assert [each.number for each in chosen] == [0, 1, 4]
    section = best_of_each_group(loaded_run(records, space=study.space))
    assert section is not None
    text = markdown(section)
    assert "## The best of each cell\n" in text
    assert "| lstm | 4 | 0 | 0 | 2.0000 |  |\n| gru | 1 | 1 | 4 | 3.4000 |  |" in text


@pytest.mark.slow
@pytest.mark.parametrize("is_repeated", [False, True])
def test_resumed_run_compares_its_cells_as_it_began(
    theirs: StudyOptions, is_repeated: bool
) -> None:
    stored = RunFolder(Path("run")).read_study()
    assert stored.space.budget.compare_within == ("cell",)
    budget = dataclasses.replace(stored.space.budget, compare_within=())
    earlier = dataclasses.replace(stored, space=dataclasses.replace(stored.space, budget=budget))
    for begun in (stored, earlier):
        RunFolder(Path("run")).write_study(begun)
        options = dataclasses.replace(theirs, cell=("lstm", NAME))
        if is_repeated:
            options = dataclasses.replace(
                options,
                space="quick",
                corpus="text.txt",
                results=Path.cwd(),
                resume=None,
                name="run",
                or_resume=True,
            )
        found = prepared_study(options, QUIET).space.budget
        assert found.compare_within == begun.space.budget.compare_within


def test_resumed_run_executes_nothing_that_it_names(theirs: StudyOptions) -> None:
    Path("my_cells.py").write_text("open('executed', 'w')\n", encoding="utf-8")
    study = Path("run/study.json")
    values = json.loads(study.read_text(encoding="utf-8"))
    sources = {"cell": [NAME], "cells_source": {NAME: "open('executed', 'w')"}}
    study.write_text(json.dumps(values | sources | {"space_file": "space.py"}), encoding="utf-8")
    shutil.copy("my_cells.py", "run/my_cells.py")
    with pytest.raises(ConfigError, match="must be named"):
        prepared_study(theirs, QUIET)
    assert run.main(["--resume", "run", "--trials", "30", "--quiet"]) == 2
    del values["cells"]
    study.write_text(json.dumps(values), encoding="utf-8")
    assert not Path("executed").exists()
    own_cell.write()  # a run that does not say which file it was is not resumed either
    with pytest.raises(ConfigError, match="must be the one that the run began with, sha256 unkn"):
        prepared_study(dataclasses.replace(theirs, cell=(NAME,)), QUIET)


def test_trial_of_another_cell_than_the_runs_is_a_line(theirs: StudyOptions) -> None:
    own_cell.write()
    config = dataclasses.replace(SPACE.base, cell="their_cells.py:Theirs")
    event = TrialStarted(number=0, config=config.to_dict(), baseline="", search_seconds=0.0)
    with History(RunFolder(Path("run")).history_file) as history:
        history.add(event)
    with pytest.raises(ConfigError, match=r"the file of the cell their_cells\.py:Theirs must be"):
        prepared_study(dataclasses.replace(theirs, cell=(NAME,)), QUIET)


def test_space_of_values_needs_the_file_too(tiny_text: str) -> None:
    Path("text.txt").write_text(tiny_text, encoding="utf-8")
    values = with_cells(load_space("quick"), ["lstm", NAME]).to_json()
    Path("space.json").write_text(json.dumps(values), encoding="utf-8")
    own_cell.write()
    options = StudyOptions(space="space.json", corpus="text.txt")
    with pytest.raises(ConfigError, match="must be named"):
        prepare(options, QUIET)
    study = prepare(dataclasses.replace(options, cell=("lstm", NAME)), QUIET)
    assert study.space.values("cell") == ["lstm", NAME]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (("import torch\n", "import torch)\n"), "SyntaxError"),
        (("class MyGRU", "class Other"), "has no such MyGRU"),
        (("return hidden, (", "return hidden[:1], ("), "must return its output and a tuple"),
        (("super().__init__()", "raise OSError('first\\nsecond')"), "OSError: first"),
    ],
)
def test_mistake_in_the_class_is_one_line_before_the_text_is_read_or_ray_starts(
    change: tuple[str, str], rule: str, capsys: pytest.CaptureFixture[str]
) -> None:
    named = own_cell.write(change=change)
    flags = ["--space", "quick", "--corpus", "nowhere.txt", "--cell", "lstm", named]
    assert run.main(flags) == 2
    told = capsys.readouterr()
    assert rule in told.err and told.err.count("\n") == 1 and told.out == ""
    assert not Path("results").exists()


def test_keyword_is_the_option() -> None:
    flags = ["--space", "quick", "--cell", "lstm", NAME, "--name", "x"]
    assert parse_options(flags).cell == ["lstm", NAME]


@pytest.mark.slow
def test_report_of_a_run_with_one_needs_no_file() -> None:
    base = dataclasses.replace(SPACE.base, cell=NAME)
    folder = RunFolder.create(Path("results").resolve() / "theirs")
    folder.write_study(dataclasses.replace(STUDY, space=dataclasses.replace(SPACE, base=base)))
    record = TrialRecord(
        number=0, config=base, status=Status.COMPLETE, epochs=curve(0, [2.5, 2.4])
    )
    folder.write_tables([record])
    run = load_run(folder.path)
    assert "network, a network of my_cells.py:MyGRU with 1 layer" in headline(run.loaded)
    assert report.main(["results/theirs"]) == 0
    text = folder.trials_file.read_text(encoding="utf-8")
    for other in ("../my_cells.py:MyGRU", "<b>.py:MyGRU", "my_cells.py", "gur", ""):
        folder.trials_file.write_text(text.replace(NAME, other), encoding="utf-8")
        with pytest.raises(ConfigError, match="cell must be one of lstm, gru, mogrifier"):
            _ = load_run(folder.path).trials


def test_run_from_others_is_looked_at_without_the_file(theirs: StudyOptions) -> None:
    Path("my_cells.py").unlink()
    stored = RunFolder(Path("run")).read_study()
    origin = CorpusOrigin.of(resolve_corpus("text.txt"))
    RunFolder(Path("run")).write_study(dataclasses.replace(stored, corpus=origin))
    RunFolder(Path("run")).history_file.write_bytes(b"")
    assert status.main(["run"]) == 0


@pytest.mark.slow
def test_search_of_own_and_our_cells_from_start_to_text(tiny_text: str, tmp_path: Path) -> None:
    """The workers' node has no file: the driver removes it as soon as it has read it."""
    axes = f'"cell": CategoricalDistribution(("lstm", "{NAME}")),'
    space = write_inputs(tiny_text, trials=4, axes=axes, base='cell="lstm"')
    code = Path("tiny.py").read_text(encoding="utf-8")
    code = code.replace('"cleaning": "lower", ', '"cleaning": "lower", "cell": "lstm"')
    own = {"cell": NAME, "epochs": 3, "hidden_size": 8, "cleaning": "lower"}
    code = code.replace("    budget=", f"    starts=({own!r},),\n    budget=")
    Path("tiny.py").write_text(code, encoding="utf-8")
    own_cell.write()
    flags = [*space, "--name", "own", "--finalists", "1", "--finalist-seeds", "1"]
    script = f"""
import pathlib, sys
from model.network import cell_check
take = cell_check.execute_cell
from model.training import named_cells
def taken(*values, **named):
    cell = take(*values, **named)
    pathlib.Path("my_cells.py").rename({str(tmp_path / "moved.py")!r})
    return cell
named_cells.execute_cell = taken
from tune.run import main
sys.exit(main({flags!r}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert not Path("my_cells.py").exists()
    assert f"model.generate results/own/predictor --chars 2000 --cell {NAME}" in done.stdout
    trials = pd.read_csv("results/own/trials.csv")
    assert set(trials["cell"]) == {"lstm", NAME} and (trials["status"] != "FAILED").all()
    of_own = trials[trials["cell"] == NAME]
    assert of_own["num_parameters"].notna().all() and of_own["val_bits_per_char"].notna().all()
    finalists = pd.read_csv("results/own/finalists.csv")
    assert finalists["test_bits_per_char"].notna().all()

    # Looking needs no file; what runs a network, or the search, needs it.
    assert report.main(["results/own"]) == 0
    longer = ["--resume", "results/own", "--trials", "6", "--finalists", "0"]
    done = run_command(longer)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert f"--cell {NAME}" in done.stderr
    kept = [path for path in sorted(Path("results/own/checkpoints").iterdir()) if path.is_dir()]
    own = [p for p in kept if NAME in (p / "meta.json").read_text(encoding="utf-8")]
    assert own
    assert generate.main([str(own[0]), "--chars", "20"]) == 2
    shutil.move(tmp_path / "moved.py", "my_cells.py")
    done = run_command([*longer, "--cell", NAME])
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert len(pd.read_csv("results/own/trials.csv")) == 6
    assert generate.main([str(own[0]), "--chars", "20", "--cell", NAME]) == 0
    assert samples.main(["results/own", "--chars", "20", "--cell", NAME]) == 0
    own_cells._KNOWN.clear()
    found = load_run("results/own")
    with pytest.raises(ConfigError, match="must be named"):
        found.generate("the ", chars=20)
    assert found.generate("the ", chars=20, cell=NAME).startswith("the ")


@pytest.mark.long
def test_command_of_the_page_runs(tiny_text: str) -> None:
    own_cell.write()
    Path("book.txt").write_text(tiny_text * 3, encoding="utf-8")
    assert documents.commands(own_cell.PAGE)
    documents.run(documents.commands(own_cell.PAGE))
    cells = set(pd.read_csv("results/cells/trials.csv")["cell"])
    assert cells == {"lstm", NAME}
    assert Path("results/cells/report.html").exists()
    assert shlex.split(documents.commands(own_cell.PAGE)[0])[-1] == NAME


@pytest.mark.slow
def test_options_without_one_are_checked_without_torch(tiny_text: str) -> None:
    """A local Ray starts once they are: 2 s later with it."""
    Path("book.txt").write_text(tiny_text, encoding="utf-8")
    code = """
import sys
from rich.console import Console
from tune.job.prepare import prepare
from tune.planning.study import StudyOptions
def checked():
    print("torch" in sys.modules)
    sys.exit()
options = StudyOptions(space="research", corpus="book.txt", fix=("cell=lstm",))
prepare(options, Console(quiet=True), checked)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
