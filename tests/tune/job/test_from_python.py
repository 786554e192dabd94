"""A search from Python: the same options, mistakes as exceptions, a run that is live."""

import contextlib
import dataclasses
import inspect
import json
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import tune
from benchmarks.overhead_sampler import made_up_records
from hand_made_run import FINALISTS, SPACE, STUDY, hand_made
from model.errors import ConfigError, ExternalFault
from model.system.durations import parse_duration
from search_spaces import SearchSpace, load_space
from tiny_search import num_epochs, write_inputs
from tune.job import from_python, search_process
from tune.job.flags import OF_THE_TERMINAL, flags_of
from tune.job.options import parse_options, parser
from tune.job.search_process import SearchProcess, _Follower
from tune.planning.study import StudyOptions
from tune.records.finalist_table import FINALIST_TABLE
from tune.records.run_folder import RunFolder
from tune.records.study_file import StudySettings
from tune.reporting.axes import RESAMPLES, axis_shares

pytestmark = pytest.mark.usefixtures("measured_machine")

Begin = Callable[..., SearchProcess]
PLAN = {
    "event": "plan",
    "run_folder": "results/ten",
    "num_trials": 1,
    "time_budget_seconds": None,
}
SAID: dict[str, Any] = {
    "space": "full",
    "corpus": ["a.txt", "b c.txt"],
    "fix": ["cleaning=cased", "dropout=0.3"],
    "time_budget": "10m",
    "keep_front_matter": True,
    "results": Path("elsewhere"),
    "trials": 7,
    "or_resume": False,
}
LISTS = [
    field.name
    for field in dataclasses.fields(StudyOptions)
    if Sequence[str] in (field.type, *getattr(field.type, "__args__", ()))
]


@pytest.fixture
def begin(monkeypatch: pytest.MonkeyPatch) -> Begin:
    """Begin a program in the place of a search, which is given to it as its arguments."""
    popen = search_process.subprocess.Popen

    def stand_in(command: list[str], **options: Any) -> Any:
        return popen([command[0], "stand_in.py", *command[1:]], **options)

    def begun(program: str, console: Console | None = None) -> SearchProcess:
        Path("stand_in.py").write_text(program, encoding="utf-8")
        monkeypatch.setattr(search_process.subprocess, "Popen", stand_in)
        return SearchProcess([], console=console or Console(quiet=True))

    return begun


def test_keywords_are_the_options_of_the_command_line() -> None:
    options = {
        action.dest for action in parser()._actions if action.dest not in ("help", "version")
    }
    keywords = set(inspect.signature(tune.search).parameters)
    assert keywords - {"wait", "progress"} == options - {*OF_THE_TERMINAL}
    assert keywords >= {"space", "corpus", "stop_when_settled", "gpus_per_trial"}


def test_keywords_say_what_the_command_line_says() -> None:
    parsed = parse_options(flags_of(SAID))
    assert {name: getattr(parsed, name) for name in SAID} == SAID


@pytest.mark.parametrize("name", LISTS)
def test_lists_are_said_as_they_are(name: str) -> None:
    for said in (["a.py:B", "c.py:D"], ["a.py:B"]):
        space = {} if name == "configs" else {"space": "full"}
        values = {**space, name: from_python._as_said(name, said)}
        assert getattr(parse_options(flags_of(values)), name) == said
    if name != "corpus":  # a text by its name alone, too
        assert from_python._as_said(name, "a.py:B") == ["a.py:B"]


def test_durations_may_be_seconds() -> None:
    durations = [action.dest for action in parser()._actions if action.metavar == "TIME"]
    assert durations and {from_python._as_said(name, 90) for name in durations} == {"90s"}


def test_what_a_run_is_told_to_leave_is_said_too() -> None:
    said = {"resume": "ten", "stop_when_settled": False, "keep_front_matter": False}
    parsed = parse_options(flags_of(said))
    assert (parsed.stop_when_settled, parsed.keep_front_matter) == (False, False)
    assert not parsed.over(StudySettings(stop_when_settled=True)).stop_when_settled
    assert parse_options(flags_of({"resume": "ten"})).stop_when_settled is None


def test_bar_counts_no_trainings_of_finalists() -> None:
    shown: list[tuple[str, float, float | None]] = []

    class Bar:
        def show(self, *what: Any) -> None:
            shown.append(what)

    follower = _Follower(Bar())  # type: ignore[arg-type]
    follower.take(PLAN)
    for is_finalist, num_ended, best in ((False, 1, 2.0), (True, 1, 2.1), (True, 2, 2.1)):
        event = {"is_finalist": is_finalist, "num_ended": num_ended}
        follower.take({"event": "trial_ended", "best_val_bits_per_char": best, **event})
    assert shown[-1] == ("1 of 1 trials, best 2.0000", 1.0, 1.0)


@pytest.mark.parametrize("seconds", [90, 0.5, 1_209_600, 123_456.75, 3e7])
def test_seconds_are_said_to_the_last_digit(seconds: float) -> None:
    said = from_python._as_said("time_budget", seconds)
    assert parse_duration(said) == seconds


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spice": "full"}, "unknown option 'spice'.* space"),
        ({"corpus": "book.txt"}, "space, configs and resume is required"),
        ({"space": "full", "time_budget": "soon"}, "a duration must look like"),
        ({"space": "full", "finalists": -1}, "finalists must be at least 0"),
        ({"resume": "nothing"}, "a run must be a folder with study.json"),
        ({"space": "full", "or_resume": True}, "--or-resume needs the --name"),
        (
            {"resume": "ten", "or_resume": True, "name": "eleven"},
            "--or-resume finds the run by --name: it must be without --resume",
        ),
        ({"resume": "~nobody-here/ten"}, "a path must be that of somebody here"),
        ({"space": "full", "results": "~nobody-here"}, "a path must be that of somebody here"),
        ({"space": "full", "dry_run": True}, "unknown option 'dry_run'"),
        ({"space": "full", "seed": "0"}, "seed must be int, got '0'"),
        ({"space": "full", "max_concurrent": "2"}, "max_concurrent must be int, got '2'"),
        ({"space": "full", "gpus_per_trial": "1"}, "gpus_per_trial must be a finite number"),
        ({"space": "full", "trials": True}, "trials must be int, got True"),
        ({"space": "full", "time_budget": True}, "time_budget must be str, got True"),
        ({"space": "full", "stop_when_settled": "no"}, "stop_when_settled must be bool"),
        ({"space": "full", "results": 3}, "results must be Path, got 3"),
        ({"space": "full", "corpus": 3}, "corpus must be a list of str, got 3"),
        ({"space": "full", "fix": ["cell=gru", 3]}, "each fix must be str, got 3"),
        ({"space": {"name": "full"}}, "space must be str, got {"),
        ({"resume": None, "space": None}, "space, configs and resume is required"),
        ({"space": "full", "configs": ["a.json"]}, "must be without --space"),
    ],
)
def test_mistake_is_told_before_a_process_starts(
    options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(from_python, "SearchProcess", None)
    with pytest.raises(ConfigError, match=message):
        tune.search(**options)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("sys.stderr.write('tune.run: no such book\\n'); sys.exit(2)", ConfigError),
        ("sys.stderr.write('tune.run: no such book\\n'); sys.exit(75)", ExternalFault),
        ("raise KeyError('no such book')", RuntimeError),
        ("sys.stderr.write('no such book\\n'); sys.exit(-9)", RuntimeError),
        ("sys.exit(1)", None),
        # A tracker tries again, and logs why.
        ("import logging\ntry:\n 1 / 0\nexcept Exception:\n logging.exception('x')", None),
        ("sys.exit(130)", None),
        ("sys.exit(143)", None),  # it was ended by SIGTERM, its results are written
        # What a tracker or a cell prints is no event.
        ("print('hello'); print('3'); sys.stderr.write('no such book'); sys.exit(2)", ConfigError),
    ],
)
def test_what_a_search_ends_with_is_raised(
    code: str, error: type[Exception] | None, begin: Begin
) -> None:
    process = begin(f"import sys\n{code}\n")
    if error is None:
        process.wait()
    else:
        with pytest.raises(error, match="no such book"):
            process.wait()
    assert not process.is_running


@pytest.mark.parametrize("code", [0, 1, 2, 143])
def test_warnings_and_orders_of_a_search_are_said_where_no_bar_is_shown(
    code: int, begin: Begin, capfd: pytest.CaptureFixture[str]
) -> None:
    warning = {"event": "warning", "time": 1.5, "text": "MLflow failed\x1b[2J"}
    order = {"event": "order", "time": 1.6, "text": "by hand: stop 7: carried out"}
    program = f"import sys\nprint({json.dumps(warning)!r})\nprint({json.dumps(order)!r})\n"
    process = begin(f"{program}sys.stderr.write('no good\\n')\nsys.exit({code})\n")
    if code == 2:
        with pytest.raises(ConfigError, match="no good"):
            process.wait()
    else:
        process.wait()
        process.wait()  # is said once
    said = "tune.search: MLflow failed\\x1b[2J\ntune.search: by hand: stop 7: carried out\n"
    assert capfd.readouterr().err == said + "no good\n" * (code != 2)


def test_what_others_print_meanwhile_is_shown_where_no_bar_is(
    begin: Begin, capsys: pytest.CaptureFixture[str]
) -> None:
    program = f"import pathlib, time\nprint({json.dumps(PLAN)!r}, flush=True)\n"
    program += "while not pathlib.Path('go').exists():\n    time.sleep(0.05)\n"
    process = begin(program, console=Console(quiet=True, force_terminal=True))
    while process._follower.run is None:
        time.sleep(0.05)
    print("mine")
    Path("go").touch()
    process.wait()
    assert capsys.readouterr().out == "mine\n"


def test_ctrl_c_before_there_is_a_run_ends_the_search(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import signal, sys\nsignal.signal(signal.SIGINT, lambda *_: sys.exit(130))\n"
    code += "open('ready', 'w').close()\nsignal.pause()\n"

    def pressed(seconds: float) -> None:
        monkeypatch.setattr(search_process.time, "sleep", slept)
        while not Path("ready").exists():
            slept(0.05)
        raise KeyboardInterrupt

    slept = search_process.time.sleep
    monkeypatch.setattr(search_process.time, "sleep", pressed)
    process = begin(code)
    with pytest.raises(KeyboardInterrupt):
        process.wait_for_run()
    assert not process.is_running


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "error"),
    [
        ("sys.stderr.write('tune.run: no room left\\n'); sys.exit(75)", ExternalFault),
        ("raise KeyError('no room left')", RuntimeError),
    ],
)
def test_ctrl_c_while_one_waits_loses_nothing_that_the_search_says(
    end: str, error: type[Exception], begin: Begin
) -> None:
    code = f"import signal, subprocess, sys\ndef ended(*_):\n    {end}\n"
    code += "signal.signal(signal.SIGINT, ended)\n"
    # What it has started may hold its output for a moment longer.
    code += "subprocess.Popen(['sleep', '1'], start_new_session=True)\n"
    code += "open('ready', 'w').close()\nsignal.pause()\n"
    process = begin(code)
    threading.Thread(target=_press_ctrl_c_in_wait, daemon=True).start()
    with pytest.raises(error, match="no room left"):
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("is_typed", [False, True])
def test_ctrl_c_ends_a_script_with_its_search_and_not_a_notebook(
    is_typed: bool, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a script, a loop would begin its next search."""
    if is_typed:
        monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    code = "import signal, sys\nsignal.signal(signal.SIGINT, lambda *_: sys.exit(130))\n"
    code += "open('ready', 'w').close()\nsignal.pause()\n"
    process = begin(code)
    threading.Thread(target=_press_ctrl_c_in_wait, daemon=True).start()
    with contextlib.nullcontext() if is_typed else pytest.raises(KeyboardInterrupt):
        process.wait()
    assert not process.is_running


def _press_ctrl_c_in_wait() -> None:
    """Send SIGINT to the main thread when the stand-in is ready and `wait` sleeps there."""
    main = threading.main_thread().ident
    assert main is not None
    is_waiting = False
    while not (is_waiting and Path("ready").exists()):
        time.sleep(0.05)
        frames = traceback.walk_stack(sys._current_frames()[main])
        first, *outer = [frame.f_code for frame, _ in frames]
        is_waiting = (
            first.co_filename == threading.__file__ and SearchProcess.wait.__code__ in outer
        )
    signal.pthread_kill(main, signal.SIGINT)


def test_signal_of_others_before_there_is_a_run_is_told(begin: Begin) -> None:
    with pytest.raises(ExternalFault, match="ended before it started"):
        begin("import sys; sys.exit(143)").wait_for_run()


@pytest.mark.slow
@pytest.mark.parametrize("code", [0, 2])
def test_resumed_run_has_begun_when_its_options_are_checked(code: int, begin: Begin) -> None:
    run = Path("results/fetched")
    program = f"import os, sys, time\nos.makedirs({str(run)!r})\n"
    if code:  # what was fetched is there before the mistake is found
        program += "time.sleep(1)\nsys.stderr.write('a mistake'); sys.exit(2)\n"
    else:
        program += f"print({json.dumps(PLAN | {'run_folder': str(run)})!r}, flush=True)\n"
        program += "sys.stdout.close(); time.sleep(600)\n"
    process = begin(program)
    if code:
        with pytest.raises(ConfigError, match="a mistake"):
            process.wait_for_run()
        return
    assert process.wait_for_run() == run
    assert process.is_running
    process._process.kill()
    with pytest.raises(RuntimeError):
        process.wait()


PARENT = """
import subprocess, sys, time
from pathlib import Path
from rich.console import Console
from tune.job import search_process
popen = search_process.subprocess.Popen
def stand_in(command, **options):
    return popen([command[0], "stand_in.py"], **options)
search_process.subprocess.Popen = stand_in
search_process.SearchProcess([], console=Console(quiet=True))
time.sleep(600)
"""
CHILD = """
import os, time
from pathlib import Path
from tune import run
from tune.job import resume
def prepared(*_):
    assert os.read(0, 1) == b"", "a corpus on standard input is empty"
    Path("ready").touch()
    time.sleep(600)
resume.prepared_study = prepared
Path("code").write_text(str(run.main(["--space", "quick", "--log-format", "json"])))
"""


@pytest.mark.slow
def test_search_ends_with_a_python_that_is_killed() -> None:
    Path("stand_in.py").write_text(CHILD, encoding="utf-8")
    parent = subprocess.Popen([sys.executable, "-c", PARENT])
    while not Path("ready").exists():
        assert parent.poll() is None
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    while not (Path("code").exists() and Path("code").read_text()):
        time.sleep(0.05)
    assert Path("code").read_text() == "143"


def test_every_default_that_is_shown_can_be_given() -> None:
    shown = inspect.signature(tune.search).parameters
    defaults = {name: each.default for name, each in shown.items()}
    assert defaults["results"] == Path("results") and defaults["cpus_per_trial"] == 1
    del defaults["wait"], defaults["progress"]
    assert {name: getattr(StudyOptions(), name) for name in defaults} == defaults
    said, plain = (
        dataclasses.replace(parse_options(flags), command="")
        for flags in (flags_of({**defaults, "space": "full"}), ["--space", "full"])
    )
    assert said == plain


def test_numbers_of_tables_and_paths_are_said_too() -> None:
    said = {
        "time_budget": np.int64(60),
        "trial_timeout": np.float64(1.5),
        "trials": np.int64(7),
        "corpus": [Path("a.txt"), "b.txt"],
        "start_from": Path("results/ten"),
        "seed": np.int32(3),
    }
    values = {name: from_python._as_said(name, value) for name, value in said.items()}
    options = StudyOptions(space="full", **values)
    assert (options.time_budget, options.trial_timeout_seconds) == ("60s", 1.5)
    assert (options.trials, options.seed, type(options.seed)) == (7, 3, int)
    assert options.corpus == ["a.txt", "b.txt"] and options.start_from == ["results/ten"]


def test_space_goes_as_its_values(tmp_path: Path) -> None:
    space = load_space("extended")
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(space.to_json()), encoding="utf-8")
    assert load_space(str(path)) == space
    for text in ("{", "[]", '{"name": 3}', path.read_text().replace('"hidden_size"', '"size"')):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match=r"^[^\n]+$"):
            load_space(str(path))
    with pytest.raises(ConfigError, match="must hold a space's values"):
        load_space("none.json")
    with pytest.raises(ConfigError, match="a path must be that of somebody here"):
        load_space("~nobody-here/mine.py")


@pytest.fixture
def run_folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder.create(tmp_path / "ten")
    folder.write_study(STUDY)
    folder.write_tables(hand_made()[:3])
    return folder


@pytest.mark.slow
def test_a_run_is_read_anew_whenever_it_is_asked(run_folder: RunFolder) -> None:
    run = tune.load_run("ten")
    assert len(run.trials) == 3 and run.finalists.empty and not run.is_running
    run_folder.write_tables(hand_made())
    FINALIST_TABLE.write(FINALISTS, run_folder.finalists_file)
    assert len(run.trials) == 7 and len(run.finalists) == len(FINALISTS)
    assert run.best == hand_made()[3].config and repr(run) == repr(run.loaded)
    assert run.quality.empty and run.predictor.empty and not run.epochs.empty
    with pytest.raises(ConfigError, match="only in the Python process that started the search"):
        run.stop()
    assert run.wait() is run
    assert [run.config(number) for number in (6, 0)] == [
        hand_made()[number].config for number in (6, 0)
    ]
    for number in (-1, 7, "3"):
        rule = f"^a trial must be one of the run's 7, numbered from 0, got {number!r}$"
        with pytest.raises(ConfigError, match=rule):
            run.config(number)  # type: ignore[arg-type]
    tables = {"trials", "epochs", "finalists", "predictor"}
    completed = {*tables, "best", "config", "importance", "report", "generate"}
    assert completed <= {*dir(run)} and all(hasattr(run, name) for name in dir(run))
    with pytest.raises(ConfigError, match="a run must be a folder"):
        tune.load_run("eleven")


@pytest.mark.slow
def test_importance_of_the_axes_is_a_table(run_folder: RunFolder) -> None:
    run = tune.load_run("ten")
    assert run.importance().empty  # too few trials
    run_folder.write_tables(made_up_records(SPACE, 40))
    found = run.importance()
    assert list(found) == ["axis", "share", "low", "high"]
    assert found.equals(axis_shares(run.loaded, resamples=RESAMPLES))
    assert found["share"].sum() == pytest.approx(1.0) and (found["low"] < found["high"]).all()


@pytest.mark.slow
def test_space_that_python_gives_stays_where_the_runs_command_finds_it(
    run_folder: RunFolder, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = json.dumps(PLAN | {"run_folder": str(run_folder.path)})
    told = "import json, sys\njson.dump(sys.argv[3:], open('words.json', 'w'))\n"
    begin(told).wait()  # from now on
    Path("stand_in.py").write_text(f"{told}print({plan!r})\n", encoding="utf-8")
    space = load_space("extended")
    run = tune.search(space=space, corpus=Path("book.txt"), results=None, progress=False)
    assert run.location == run_folder.path
    words = json.loads(Path("words.json").read_text(encoding="utf-8"))
    command = parse_options(words).command
    options = parse_options(shlex.split(command)[3:])
    assert options.space is not None and load_space(options.space) == space
    assert (options.corpus, options.name) == (["book.txt"], None)  # the search names its run
    monkeypatch.setenv("HOME", str(Path.cwd()))
    tune.search(space=space, results="~/mine", progress=False)
    assert len([*Path("mine/.spaces").iterdir()]) == 1
    assert len([*Path("results/.spaces").iterdir()]) == 1


@pytest.mark.slow
def test_report_is_a_page_in_a_notebook(run_folder: RunFolder) -> None:
    report = tune.load_run("ten").report()
    assert repr(report).startswith("# ") and "val_bits_per_char" in repr(report)
    assert report.page.startswith("<!doctype html>")
    frame = report._repr_html_()
    assert frame.startswith("<iframe srcdoc=") and "&lt;!doctype html&gt;" in frame
    assert not run_folder.page_file.exists()


def test_best_network_of_a_run_goes_on_with_a_text(
    run_folder: RunFolder, trained_checkpoint: Path
) -> None:
    run = tune.load_run("ten")
    with pytest.raises(ConfigError, match="must have a checkpoint"):
        run.generate("Alice ")
    shutil.copytree(trained_checkpoint, run_folder.path / "checkpoints" / "01")
    text = run.generate("Alice ", chars=40, temperature=0.5, seed=3)
    assert text.startswith("alice ") and len(text) == 46
    assert text == run.generate("Alice ", chars=40, temperature=0.5, seed=3)
    with pytest.raises(ConfigError, match="prime"):
        run.generate("日")


@pytest.mark.slow
def test_search_from_python_is_live_stopped_and_resumed(tiny_text: str) -> None:
    write_inputs(tiny_text, epochs=(100_000, 100_000))
    run = tune.search(
        space=load_space("tiny.py"),
        corpus="book.txt",
        name="long",
        finalists=0,
        max_concurrent=2,
        wait=False,
    )
    assert isinstance(run.study.space, SearchSpace) and run.is_running
    _wait(lambda: len(num_epochs("long")) >= 2, run)
    assert run.stop() is run and not run.is_running
    assert set(run.trials["status"]) == {"STOPPED"} and run.study.ended == "interrupted"
    resumed = tune.search(resume="long", time_budget=1.0, progress=False)
    assert resumed.study.ended == "ended by its time budget"
    assert len(resumed.trials) >= 2
    with pytest.raises(ConfigError, match=r"book\.text"):
        tune.search(space="tiny.py", corpus="book.text", progress=False)


SCRIPT = """
import tune
with open("begun.txt", "a") as file:
    file.write("begun ")
"""
SEARCH = """run = tune.search(space="tiny.py", corpus="book.txt", finalists=0)
    print(*run.trials["status"])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "condition", [pytest.param("__name__ == '__main__'", marks=pytest.mark.long), "True"]
)
def test_plain_script_searches(condition: str, tiny_text: str) -> None:
    write_inputs(tiny_text, epochs=(1, 1), trials=2)
    Path("script.py").write_text(f"{SCRIPT}if {condition}:\n    {SEARCH}", encoding="utf-8")
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert done.stdout.splitlines()[-1] == "COMPLETE COMPLETE"
    assert Path("begun.txt").read_text() == "begun "  # no process of the search runs it again


@pytest.mark.slow
def test_ray_of_this_process_is_used_and_left_running(tiny_text: str) -> None:
    import ray

    write_inputs(tiny_text, epochs=(1, 1), trials=2)
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        run = tune.search(space="tiny.py", corpus="book.txt", finalists=0, progress=False)
        assert list(run.trials["status"]) == ["COMPLETE"] * 2
        assert ray.is_initialized() and ray.cluster_resources()["CPU"] == 2
        assert ray.get(ray.remote(lambda: 7).remote()) == 7
    finally:
        ray.shutdown()


def _wait(true: Callable[[], bool], run: tune.Run) -> None:
    while not true():
        assert run.is_running
        time.sleep(0.2)
