"""Trackers are told of a search; one that fails or hangs does not end it."""

import dataclasses
import importlib.util
import io
import json
import math
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import pytest
from rich.console import Console

from hand_made_trials import RECORDS, SPACE, record
from model.errors import ConfigError
from tiny_search import free_port
from tune.monitoring import trackers as trackers_module
from tune.monitoring.json_events import JsonConsole
from tune.monitoring.mlflow_log import MlflowLog, check_mlflow
from tune.monitoring.tensorboard_log import TensorBoardLog
from tune.monitoring.tracker import EVENTS, TrackedSearch, Tracker, load_tracker
from tune.monitoring.trackers import Trackers
from tune.records.trial import Status, TrialRecord
from tune.sampling.optuna_study import open_study


def play(listener: Any, records: list[TrialRecord]) -> None:
    """Tell a listener what a search would."""
    for entry in records:
        listener.trial_started(entry)
        for number in range(len(entry.epochs)):
            listener.epoch_ended(dataclasses.replace(entry, epochs=entry.epochs[: number + 1]))
        if entry.status != Status.RUNNING:
            listener.trial_ended(entry)


@contextmanager
def serving(command: list[str], port: int) -> Iterator[Callable[[str], str]]:
    """Start a web server of another program and yield what gets a page of it."""
    server = subprocess.Popen(
        [sys.executable, "-m", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def get(path: str) -> str:
        while True:
            assert server.poll() is None, f"{command} ended with {server.returncode}"
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as page:
                    return str(page.read().decode())
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                time.sleep(0.5)

    try:
        yield get
    finally:
        server.terminate()
        server.wait()


def searched(folder: Path, name: str = "ten", search_id: str = "0" * 12) -> TrackedSearch:
    """Return what a tracker is made with."""
    return TrackedSearch(name=name, folder=folder, space=SPACE, search_id=search_id)


class Told(Tracker):
    """Writes down what it is told."""

    def __init__(self, search: TrackedSearch) -> None:
        self.lines: list[str] = []
        self.threads = {threading.get_ident()}

    def trial_started(self, trial: TrialRecord) -> None:
        self.lines.append(f"start {trial.number}")

    def epoch_ended(self, trial: TrialRecord) -> None:
        self.threads.add(threading.get_ident())
        self.lines.append(f"epoch {trial.number} {trial.epochs[-1].report}")

    def close(self) -> None:
        self.lines.append("close")


def told(folder: Path, **asked_for: Any) -> str:
    """Tell trackers of a search; return what was printed."""
    out = io.StringIO()
    console = Console(file=out, width=200)
    with Trackers(searched(folder), asked_for, console) as trackers:
        play(trackers, RECORDS)
    return out.getvalue()


def test_tracker_is_told_in_order_by_one_thread_of_its_own(tmp_path: Path) -> None:
    made: list[Told] = []

    def make(search: TrackedSearch) -> Told:
        made.append(Told(search))
        return made[-1]

    printed = told(tmp_path, mine=make)
    assert printed == ""
    (tracker,) = made
    assert tracker.lines == [
        *("start 0", "epoch 0 1", "epoch 0 2", "start 1", "epoch 1 1"),
        *("start 2", "start 3", "epoch 3 1", "close"),
    ]
    assert len(tracker.threads) == 1 and threading.get_ident() not in tracker.threads


def test_what_a_tracker_was_told_does_not_change_any_more(tmp_path: Path) -> None:
    entry, goes_on = record(0, [3.0], Status.RUNNING), threading.Event()
    seen: list[int] = []

    class Late(Told):
        def epoch_ended(self, trial: TrialRecord) -> None:
            goes_on.wait()
            seen.append(len(trial.epochs))

    with Trackers(searched(tmp_path), {"late": Late}, Console()) as trackers:
        trackers.epoch_ended(entry)
        entry.add_epoch(dataclasses.replace(entry.epochs[0], report=2, epoch=2))
        goes_on.set()
    assert seen == [1]


@pytest.mark.parametrize("event", ["__init__", *EVENTS])
@pytest.mark.parametrize("error", [ConnectionError("refused\nat all"), SystemExit(3)])
def test_tracker_that_raises_costs_a_line_and_the_others_nothing(
    event: str, error: BaseException, tmp_path: Path
) -> None:
    def fails(self: Any, *values: Any) -> None:
        raise error

    failing = type("Failing", (Told,), {event: fails})
    others: list[Told] = []
    printed = told(
        tmp_path, failing=failing, other=lambda search: others.append(Told(search)) or others[0]
    )
    reason = " ".join(str(error).split())
    assert printed == f"failing failed and is disabled for this search: {reason}\n"
    assert others[0].lines[-1] == "close" and len(others[0].lines) == 9


def test_tracker_that_raises_is_an_event(tmp_path: Path) -> None:
    def fails(search: TrackedSearch) -> Tracker:
        raise ConnectionError("refused")

    out = io.StringIO()
    with Trackers(searched(tmp_path), {"failing": fails}, JsonConsole(out)) as trackers:
        play(trackers, RECORDS)
    event = json.loads(out.getvalue())
    assert event["event"] == "warning" and event["text"].startswith("failing failed and is dis")


def test_tracker_that_hangs_is_left_and_the_others_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    background = trackers_module._Background
    join = background.join

    def join_late(tracker: Any, deadline: float) -> None:
        """Give up one that hangs at once, and wait for the others, however slow they are."""
        join(tracker, time.monotonic() if tracker.name == "hanging" else math.inf)

    monkeypatch.setattr(background, "join", join_late)
    goes_on, others = threading.Event(), []

    class Hanging(Told):
        def trial_started(self, trial: TrialRecord) -> None:
            goes_on.wait()

    def make(search: TrackedSearch) -> Told:
        others.append(Told(search))
        return others[0]

    try:
        printed = told(tmp_path, hanging=Hanging, other=make)
    finally:
        goes_on.set()
    assert printed == (
        "hanging failed and is disabled for this search: "
        "it did not process its last events within 60 s\n"
    )
    assert others[0].lines[-1] == "close"


def test_tracker_that_is_too_far_behind_is_told_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trackers_module, "MOST_WAITING", 3)
    goes_on = threading.Event()

    class Hanging(Told):
        def __init__(self, search: TrackedSearch) -> None:
            goes_on.wait()

    background = trackers_module._Background("hanging", lambda: Hanging(searched(tmp_path)))
    for _ in range(3):
        background.tell("trial_started", RECORDS[0])
    with pytest.raises(trackers_module._Failed, match="it is 3 events behind"):
        background.tell("trial_started", RECORDS[0])
    assert background._thread.daemon  # the process does not wait for it
    background.abandon()
    goes_on.set()
    background._thread.join()


OWN = """
from dataclasses import dataclass
import beside

@dataclass
class Own:
    search: "object"
    def trial_started(self, trial): print("start", beside.MARK)
    def epoch_ended(self, trial): ...
    def trial_ended(self, trial): ...
    def close(self): ...

class Half:
    def close(self): ...

NO_CLASS = 3
"""


def test_class_of_a_file_or_of_a_module_is_a_tracker(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("MARK = 7", encoding="utf-8")
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    made: Any = load_tracker(f"{tmp_path}/own.py:Own")(searched(tmp_path))
    assert made.search.name == "ten"
    assert load_tracker("tune.monitoring.tensorboard_log:TensorBoardLog") is TensorBoardLog
    for named, rule in (
        ("own.py", "must be package.module:Class or file.py:Class, got 'own.py'"),
        ("nowhere.py:Own", "a tracker's file must exist"),
        (
            "no.such.module:Own",
            "a tracker's module must be importable: no.such.module: ModuleNotFoundError",
        ),
        (f"{tmp_path}/own.py:Nobody", "has no class Nobody"),
        (f"{tmp_path}/own.py:NO_CLASS", "has no class NO_CLASS"),
        (f"{tmp_path}/own.py:Half", "lacks trial_started, epoch_ended, trial_ended"),
    ):
        with pytest.raises(ConfigError, match=re.escape(rule)):
            load_tracker(named)
    (tmp_path / "ends.py").write_text("raise SystemExit(0)", encoding="utf-8")
    with pytest.raises(
        ConfigError, match=r"a tracker's module must be importable: .*ends\.py: SystemExit: 0"
    ):
        load_tracker(f"{tmp_path}/ends.py:Own")


def test_tensorboard_has_a_folder_a_trial(tmp_path: Path) -> None:
    printed = told(tmp_path)
    assert printed == ""
    # The one that diverged has no epoch and leaves nothing.
    names = sorted(path.name for path in (tmp_path / "tensorboard").iterdir())
    assert names == ["trial_00000", "trial_00001", "trial_00003"]
    (events,) = (tmp_path / "tensorboard" / "trial_00000").iterdir()
    content = events.read_bytes()
    assert content.count(b"train_nats_per_char") == 2 and b"hparams" in content


def test_tensorboard_keeps_a_curve_that_goes_on_within_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.5)
    log = TensorBoardLog(searched(tmp_path))
    waits = record(0, [3.0, 2.5], Status.PRUNED)
    play(log, [waits])
    goes_on = record(0, [3.0, 2.5, 2.0], Status.COMPLETE)
    log.trial_started(goes_on)
    log.epoch_ended(goes_on)
    log.trial_ended(goes_on)
    files = sorted((tmp_path / "tensorboard" / "trial_00000").iterdir())
    assert [file.read_bytes().count(b"train_nats_per_char") for file in files] == [2, 1]


def test_tensorboard_that_cannot_write_is_told_no_more(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_text("in the way", encoding="utf-8")
    printed = told(tmp_path)
    assert printed.count("TensorBoard failed and is disabled for this search") == 1
    assert printed.count("\n") == 1


def play_wandb(folder: Path) -> None:
    """Tell W&B of two sessions of a search."""
    from tune.monitoring.wandb_log import WandbLog

    for records in (RECORDS, [record(3, [2.25, 2.0], Status.COMPLETE)]):
        log = WandbLog(searched(folder))
        play(log, records)
        log.close()


class FakeWandb(ModuleType):
    """Records what is asked of W&B, in the form of version 0.31."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.runs: list[Mock] = []
        self.Settings = dict

    def init(self, **values: Any) -> Mock:
        run = Mock(values=values, summary={})
        self.runs.append(run)
        return run


def test_wandb_has_a_run_a_trial_and_one_that_goes_on_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.delitem(sys.modules, "tune.monitoring.wandb_log", raising=False)
    play_wandb(tmp_path)
    monkeypatch.delitem(sys.modules, "tune.monitoring.wandb_log")
    values = [run.values for run in fake.runs]
    assert [each["name"] for each in values] == [f"ten, trial {n}" for n in (0, 1, 2, 3, 3)]
    ids = [each["id"] for each in values]
    assert ids[3] == ids[4] and len(set(ids)) == 4
    assert {each["group"] for each in values} == {"ten"}
    assert values[0]["config"]["hidden_size"] == SPACE.base.hidden_size
    assert [call.kwargs["step"] for call in fake.runs[0].log.call_args_list] == [1, 2]
    assert fake.runs[0].log.call_args.args[0]["val_bits_per_char"] == 2.5
    assert [run.summary.get("status") for run in fake.runs] == [
        *("COMPLETE", "PRUNED", "DIVERGED", None, "COMPLETE")
    ]
    assert [run.finish.call_count for run in fake.runs] == [1] * 5
    assert fake.runs[2].finish.call_args.kwargs == {"exit_code": 1}


def test_wandb_that_is_not_installed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.delitem(sys.modules, "tune.monitoring.wandb_log", raising=False)
    with pytest.raises(ConfigError, match="pip install wandb"):
        load_tracker("tune.monitoring.wandb_log:WandbLog")


@pytest.mark.slow
def test_real_wandb_writes_runs_offline(tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="pip install wandb, which takes 70 MB")
    code = (
        "import sys; from pathlib import Path; from test_trackers import play_wandb; "
        "play_wandb(Path(sys.argv[1]))"
    )
    # Its threads and its service are not for a process of tests.
    environment = {
        **os.environ,
        "WANDB_MODE": "offline",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
    }
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr
    files = list((tmp_path / "wandb").glob("offline-run-*/run-*.wandb"))
    assert sorted(path.stem.split("-")[-1] for path in files) == ["0", "1", "2", "3", "3"]
    (first,) = (path for path in files if path.stem.endswith("-0"))  # not all have an epoch
    assert b"val_bits_per_char" in first.read_bytes()


def test_mlflow_that_is_not_installed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install mlflow-skinny"):
        check_mlflow("http://127.0.0.1:5000")
    with pytest.raises(ConfigError, match="needs a tracking URI"):
        check_mlflow("")


@pytest.mark.slow
def test_mlflow_has_a_run_a_trial_and_one_that_goes_on_is_the_same(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="pip install mlflow-skinny")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    log = MlflowLog(searched(tmp_path), uri=uri)
    play(log, [RECORDS[0], RECORDS[1], RECORDS[3]])
    log.close()
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("ten")
    again = MlflowLog(searched(tmp_path), uri=uri)
    again.trial_started(RECORDS[1])  # it waited at a rung
    (waits,) = client.search_runs([experiment.experiment_id], "tags.trial_number = '1'")
    assert waits.info.status == "RUNNING"
    again.trial_ended(RECORDS[1])
    play(again, [record(3, [2.25, 2.0], Status.COMPLETE)])
    again.close()
    assert capfd.readouterr().err == ""
    runs = {
        run.data.tags["trial_number"]: run
        for run in client.search_runs([experiment.experiment_id])
    }
    assert set(runs) == {"0", "1", "3"}
    assert {number: run.data.tags["status"] for number, run in runs.items()} == {
        "0": "COMPLETE",
        "1": "PRUNED",
        "3": "COMPLETE",
    }
    assert runs["0"].data.params["hidden_size"] == str(SPACE.base.hidden_size)
    assert runs["3"].data.metrics["val_bits_per_char"] == 2.0
    assert runs["3"].info.status == "FINISHED"
    # Another search of that name, on another machine perhaps, is not mixed into it.
    other = MlflowLog(searched(tmp_path, search_id="1" * 12), uri=uri)
    play(other, [RECORDS[0]])
    other.close()
    of_first = client.search_runs([experiment.experiment_id], "tags.trial_number = '0'")
    assert [run.data.tags["search_id"] for run in of_first] == ["1" * 12, "0" * 12]


@pytest.mark.slow
def test_tensorboard_opens_a_run(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="pip install tensorboard")
    log = TensorBoardLog(searched(tmp_path))
    play(log, RECORDS)
    log.close()
    port = free_port()
    command = ["tensorboard.main", "--logdir", str(tmp_path / "tensorboard"), "--port", str(port)]
    with serving(command, port) as get:
        while not (runs := json.loads(get("/data/runs"))):
            time.sleep(0.5)
        assert "trial_00000" in runs
        scalars = get("/data/plugin/scalars/scalars?run=trial_00000&tag=val_bits_per_char")
        assert [value for _, _, value in json.loads(scalars)] == [3.0, 2.5]


@pytest.mark.slow
def test_optuna_dashboard_opens_a_run(tmp_path: Path) -> None:
    pytest.importorskip("optuna_dashboard", reason="pip install optuna-dashboard")
    path = tmp_path / "optuna.journal"
    open_study(path, SPACE, records=RECORDS[:3])
    port = free_port()
    command = ["optuna_dashboard._cli", str(path), "--port", str(port)]
    with serving(command, port) as get:
        (summary,) = json.loads(get("/api/studies"))["study_summaries"]
        assert summary["study_name"] == SPACE.name
        trials = json.loads(get(f"/api/studies/{summary['study_id']}?after=0"))["trials"]
        assert len(trials) >= 3
