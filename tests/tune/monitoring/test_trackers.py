"""TensorBoard and MLflow are told of a search; one that fails does not end it."""

import dataclasses
import importlib.util
import io
import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from rich.console import Console

from hand_made_trials import RECORDS, SPACE, record
from model.errors import ConfigError
from tiny_search import free_port
from tune.monitoring import mlflow_log
from tune.monitoring.mlflow_log import MlflowLog, check_mlflow
from tune.monitoring.tensorboard_log import TensorBoardLog
from tune.monitoring.trackers import Trackers
from tune.records.run_folder import RunFolder
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


def test_tensorboard_has_a_folder_a_trial(tmp_path: Path) -> None:
    log = TensorBoardLog(tmp_path / "tensorboard", SPACE)
    play(log, RECORDS)
    log.close()
    # The one that diverged has no epoch and leaves nothing.
    names = sorted(path.name for path in (tmp_path / "tensorboard").iterdir())
    assert names == ["trial_00000", "trial_00001", "trial_00003"]
    (events,) = (tmp_path / "tensorboard" / "trial_00000").iterdir()
    content = events.read_bytes()
    assert content.count(b"train_nats_per_char") == 2 and b"hparams" in content


def test_tracker_that_fails_is_told_no_more(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_text("in the way", encoding="utf-8")
    out = io.StringIO()
    console, display = Console(file=out, width=200), Mock()
    with Trackers(display, SPACE, RunFolder(tmp_path), console, mlflow=None) as trackers:
        play(trackers, RECORDS)
    assert out.getvalue().count("TensorBoard failed and is disabled for this search") == 1
    assert out.getvalue().count("\n") == 1
    assert display.trial_started.call_count == len(RECORDS)


def test_mlflow_that_is_not_installed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install mlflow-skinny"):
        check_mlflow("http://127.0.0.1:5000")
    with pytest.raises(ConfigError, match="needs a tracking URI"):
        check_mlflow("")


def test_server_that_does_not_answer_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_log, "CLOSE_SECONDS", 0.2)
    answers = threading.Event()
    log = MlflowLog("http://nowhere", "ten")
    monkeypatch.setattr(log, "_connect", answers.wait)
    play(log, RECORDS[:2])
    with pytest.raises(TimeoutError, match=r"\d+ events could not be sent within 0.2 s"):
        log.close()
    log.abandon()
    thread = log._tasks._thread
    assert thread.daemon  # the process does not wait for it
    answers.set()
    thread.join()


def test_tracker_that_failed_is_abandoned(tmp_path: Path) -> None:
    class Failing:
        name, abandoned = "Failing", 0

        def trial_started(self, record: TrialRecord) -> None:
            raise ConnectionError("refused")

        def abandon(self) -> None:
            self.abandoned += 1

    failing: Any = Failing()
    console, display = Console(file=io.StringIO()), Mock()
    with Trackers(display, SPACE, RunFolder(tmp_path), console, mlflow=None) as trackers:
        trackers._trackers.append(failing)
        play(trackers, RECORDS)
    assert failing.abandoned == 1


def test_experiment_that_could_not_be_found_is_looked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Client:
        def __init__(self, tracking_uri: str) -> None:
            pass

        def get_experiment_by_name(self, name: str) -> None:
            raise ConnectionError("refused")

    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(MlflowClient=Client))
    log = MlflowLog("http://nowhere", "ten")
    for _ in range(2):
        with pytest.raises(ConnectionError):
            log._connect()
    log.abandon()


@pytest.mark.slow
def test_mlflow_has_a_run_a_trial_and_one_that_goes_on_is_the_same(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_log, "CLOSE_SECONDS", 3_600)
    mlflow = pytest.importorskip("mlflow", reason="pip install mlflow-skinny")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    log = MlflowLog(uri, "ten")
    play(log, [RECORDS[0], RECORDS[1], RECORDS[3]])
    log.close()
    again = MlflowLog(uri, "ten")
    play(again, [record(3, [2.25, 2.0], Status.COMPLETE)])
    again.close()
    assert capfd.readouterr().err == ""
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("ten")
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


@pytest.mark.slow
def test_tensorboard_opens_a_run(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="pip install tensorboard")
    log = TensorBoardLog(tmp_path / "tensorboard", SPACE)
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
