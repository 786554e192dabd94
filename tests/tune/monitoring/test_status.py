"""Where a run stands, read from its folder while a driver writes it or after it has died."""

import dataclasses
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyarrow import fs

from hand_made_run import CACHE_ROW, PREDICTOR_ROWS, STUDY
from hand_made_trials import RECORDS, SPACE
from model.errors import ConfigError
from tune import status
from tune.monitoring import status as status_module
from tune.monitoring.control import Control
from tune.monitoring.status import RunStatus
from tune.records import load
from tune.records.history import (
    EpochEnded,
    History,
    TrialEnded,
    TrialStarted,
    read_search,
)
from tune.records.history_lock import has_driver
from tune.records.orders import Order
from tune.records.predictor_table import PREDICTOR_TABLE
from tune.records.run_folder import LEASE_FILE, RunFolder
from tune.records.study_file import STILL_RUNNING
from tune.records.trial import Status
from tune.storage import lease as lease_file
from tune.storage.lease import STALE_SECONDS, Lease
from tune.storage.requests import CONTROL_FOLDER, OPEN_MARK

UNLIMITED = dataclasses.replace(
    SPACE, budget=dataclasses.replace(SPACE.budget, time_budget_seconds=None)
)


def add_all(history: History) -> None:
    for record in RECORDS:
        started = TrialStarted(
            number=record.number,
            baseline="experiment 0" if record.number == 0 else "",
            config=record.config.to_dict(),
            search_seconds=0.0,
        )
        history.add(started)
        for epoch in record.epochs:
            event = EpochEnded(
                epoch=epoch, precision="float32", num_parameters=1, vocabulary_size=27
            )
            history.add(event)
        if record.status != Status.RUNNING:
            end = TrialEnded(
                number=record.number,
                status=record.status,
                error=record.error,
                search_seconds=60.0 * (record.number + 1),
            )
            history.add(end)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder.create(tmp_path / "results" / "ten")
    made.write_study(
        dataclasses.replace(
            STUDY,
            space=UNLIMITED,
            ended=STILL_RUNNING,
            search_seconds=0.0,
            resume="python -m tune.run --resume ten",
        )
    )
    return made


def test_run_with_a_driver(folder: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    with History(folder.history_file) as history:
        add_all(history)
        assert has_driver(folder.history_file)
        assert status.main(["ten"]) == 0
        text = capsys.readouterr().out
        assert "ten: quick on book.txt: running" in text
        assert f"best so far: trial 3: 2.2500 bits, epoch 1 of {SPACE.base.epochs}, " in text
        ended = f"trials: 3 of {SPACE.budget.trials} ended; "
        assert f"{ended}1 RUNNING, 1 COMPLETE, 1 PRUNED, 1 DIVERGED" in text
        assert "trials trained to the epoch of each rung: epoch " in text
        minutes = SPACE.budget.trials - 3  # one trial a minute so far
        assert "  running: trial 3: 2.2500 bits" in text and "1.0s per epoch" in text
        pattern = rf"time: 3m\d+s, (1\.0|0\.9) trials per minute, about {minutes}m"
        assert re.search(pattern, text)  # seconds go by
        assert status.main(["ten", "--json"]) == 0
        values = json.loads(capsys.readouterr().out)
        assert values["alive"] and values["statuses"]["PRUNED"] == 1
        assert values["best"]["number"] == 3 and values["best"]["val_bits_per_char"] == 2.25
        assert values["left_seconds"] == pytest.approx(minutes * 60, abs=5)


def test_search_that_ends_while_it_is_looked_at_has_not_lost_its_driver(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with History(folder.history_file) as history:
        add_all(history)
    assert folder.live_files[0].name == LEASE_FILE  # of a storage the lease is fetched first

    def ends(path: Path) -> bool:
        folder.write_study(dataclasses.replace(folder.read_study(), ended="all trials ran"))
        return False

    monkeypatch.setattr(status_module, "has_driver", ends)
    assert RunStatus.of(folder).state == "all trials ran"


def test_pause_before_a_session_is_no_time_of_the_search(folder: RunFolder) -> None:
    with History(folder.history_file) as history:
        add_all(history)
    yesterday = time.time() - 86_400
    os.utime(folder.history_file, (yesterday, yesterday))
    seconds = RunStatus.of(folder).search_seconds
    folder.write_study(folder.read_study())  # a session begins
    with History(folder.history_file):
        assert RunStatus.of(folder).search_seconds < seconds + 3_600


def test_session_that_begins_has_the_time_of_those_before(folder: RunFolder) -> None:
    with History(folder.history_file) as history:
        add_all(history)
    assert RunStatus.of(folder).search_seconds == 180.0
    folder.write_study(dataclasses.replace(folder.read_study(), search_seconds=700.0))
    a_minute_ago = time.time() - 60.0
    for path in (folder.history_file, folder.study_file):
        os.utime(path, (a_minute_ago, a_minute_ago))
    with History(folder.history_file):
        assert RunStatus.of(folder).search_seconds == pytest.approx(760.0, abs=20)


def test_time_budget_bounds_what_is_left(folder: RunFolder) -> None:
    folder.write_study(dataclasses.replace(folder.read_study(), space=SPACE))
    with History(folder.history_file) as history:
        add_all(history)
        seen = RunStatus.of(folder)
        assert seen.left_seconds == 0.0
        assert re.search(r"time: 3m\d+s of 2m0s, ", seen.text())


def test_run_whose_driver_died_says_how_to_go_on(folder: RunFolder) -> None:
    with History(folder.history_file) as history:
        add_all(history)
    with folder.history_file.open("ab") as file:
        file.write(b'{"event": "TrialEn')  # it was killed while it wrote
    seen = RunStatus.of(folder)
    assert not seen.alive and seen.left_seconds is None
    assert (
        seen.state
        == f"not running any more; to continue: python -m tune.run --resume {folder.path}"
    )
    assert "running: trial" not in seen.text()
    assert read_search(folder.history_file).records[3].objective == 2.25


def test_run_without_a_history_is_refused(folder: RunFolder) -> None:
    for path in folder.history_files:
        path.unlink(missing_ok=True)
    with pytest.raises(
        ConfigError, match=r"must have a history to show its status, but .* has none"
    ):
        RunStatus.of(folder)


def test_run_that_is_over_says_how_it_ended(folder: RunFolder) -> None:
    with History(folder.history_file) as history:
        add_all(history)
    study = folder.read_study()
    folder.write_study(dataclasses.replace(study, ended="all trials done", search_seconds=200.0))
    seen = RunStatus.of(folder)
    assert seen.state == "all trials done" and seen.search_seconds == 200.0


def test_predictor_has_its_line(folder: RunFolder) -> None:
    with History(folder.history_file) as history:
        add_all(history)
    assert RunStatus.of(folder).predictor is None
    PREDICTOR_TABLE.write(map(dataclasses.asdict, PREDICTOR_ROWS), folder.predictor_file)
    seen, row = RunStatus.of(folder), PREDICTOR_ROWS[0]
    assert f"predictor: {row.test_bits_per_char:.4f} bits on the test passage" in seen.text()
    assert seen.to_json()["predictor"] == {
        "val_bits_per_char": row.val_bits_per_char,
        "test_bits_per_char": row.test_bits_per_char,
    }
    rows = [*PREDICTOR_ROWS, CACHE_ROW]
    PREDICTOR_TABLE.write(map(dataclasses.asdict, rows), folder.predictor_file)
    line = "predictor: 1.8500 bits on the test passage (1.9700 without its cache), 1.7500 on the"
    assert line in RunStatus.of(folder).text()


@pytest.mark.parametrize("column", ["val_bits_per_char", "test_bits_per_char"])
def test_predictor_without_a_score_is_none(folder: RunFolder, column: str) -> None:
    with History(folder.history_file) as history:
        add_all(history)
    rows = [dataclasses.asdict(row) | {column: None} for row in PREDICTOR_ROWS]
    PREDICTOR_TABLE.write(rows, folder.predictor_file)
    seen = RunStatus.of(folder)
    assert seen.predictor is None and "predictor: " not in seen.text()
    assert json.loads(json.dumps(seen.to_json()))["predictor"] is None


def test_asking_for_the_driver_leaves_the_run_to_a_driver(folder: RunFolder) -> None:
    with History(folder.history_file):
        pass
    assert not has_driver(folder.history_file)
    with History(folder.history_file), pytest.raises(ConfigError, match="one driver"):
        History(folder.history_file)
    assert not has_driver(folder.path / "missing.jsonl")


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status.main(["nowhere"]) == 2
    RunFolder.create(tmp_path / "empty").write_study(dataclasses.replace(STUDY, space=SPACE))
    assert status.main([str(tmp_path / "empty")]) == 2
    assert capsys.readouterr().err.count("\n") == 2


@pytest.mark.slow
def test_status_needs_no_torch_and_no_ray(folder: RunFolder) -> None:
    with History(folder.history_file) as history:
        add_all(history)
    code = (
        "import sys; from tune import status; assert status.main(['ten']) == 0; "
        "assert not {'torch', 'ray'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ}
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("is_fetched", [False, True])
def test_run_in_a_storage(
    folder: RunFolder,
    is_fetched: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Nobody locks the copy that a driver keeps in a storage, so the lease tells.
    monkeypatch.setattr(lease_file, "SETTLE_SECONDS", 0.0)
    if is_fetched:
        elsewhere = fs.SubTreeFileSystem("/", fs.LocalFileSystem())
        monkeypatch.setattr(
            load, "open_location", lambda place: (elsewhere, place.removeprefix("file://"))
        )
    place, lease = f"file://{folder.path}", Lease(f"file://{folder.path}")
    with History(folder.history_file) as history:
        add_all(history)
    os.utime(folder.history_file, (time.time() - 600,) * 2)
    lease.take(say=print)
    assert status.main([place]) == 0
    text = capsys.readouterr().out
    assert "ten: quick on book.txt: running" in text
    assert "; last event 10m" in text
    PREDICTOR_TABLE.write(map(dataclasses.asdict, PREDICTOR_ROWS), folder.predictor_file)
    assert status.main([place]) == 0
    assert "predictor: " in capsys.readouterr().out
    old = time.time() - 2 * STALE_SECONDS
    os.utime(folder.path / LEASE_FILE, (old, old))
    assert status.main([place]) == 0
    goes_on = f"not running any more; to continue: python -m tune.run --resume {place}"
    assert goes_on in capsys.readouterr().out
    lease.take(say=print)
    lease.release()
    assert status.main([place, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["alive"] is False
    assert status.main([f"{place}/none"]) == 2
    assert "must be a folder with study.json" in capsys.readouterr().err


@pytest.mark.slow
def test_finalists_of_an_earlier_session_are_not_what_a_leased_run_does(
    folder: RunFolder,
) -> None:
    with History(folder.history_file) as history:
        add_all(history)
    folder.finalists_history_file.write_bytes(folder.history_file.read_bytes())
    lease = Lease(str(folder.path))
    lease.take(say=print)
    now = time.time()
    os.utime(folder.study_file, (now - 3_600, now - 3_600))
    for (search, finalists), state, is_searching in (
        ((now - 30, now - 600), "running", True),
        ((now - 600, now - 30), "running, retraining the finalists", False),
    ):
        os.utime(folder.history_file, (search, search))
        os.utime(folder.finalists_history_file, (finalists, finalists))
        found = RunStatus.of(folder)
        assert found.state == state and found.silent_seconds == pytest.approx(30, abs=10)
        # The time budget covers both.
        assert found.search_seconds == pytest.approx(180.0 + 30.0, abs=10)
        assert (found.left_seconds is not None) == is_searching


@pytest.mark.slow
def test_numbers_of_tables_steer_as_those_of_python_do(folder: RunFolder) -> None:
    with History(folder.history_file) as history:
        add_all(history)
    Lease(str(folder.path)).take(say=print)
    control, requests = Control(folder.path), folder.path / CONTROL_FOLDER
    requests.mkdir()
    (requests / OPEN_MARK).touch()
    (running,) = (each.number for each in RECORDS if each.status == Status.RUNNING)
    table = pd.DataFrame({"hidden_size": [64], "dropout": [0.25], "cleaning": ["lower"]})
    for order, value, same in (
        (control.stop, np.int64(running), running),
        (control.finish, np.uint8(running), running),
        (control.workers, np.int64(2), 2),
        (control.budget, np.int64(60), 60.0),
        (control.add, table.iloc[0].to_dict(), table.to_dict("records")[0]),
        (control.add, {"hidden_size": np.int64(64)}, {"hidden_size": 64}),
    ):
        one, other = order(value), order(same)
        assert dataclasses.replace(one, id=other.id) == other
        file = requests / f"{one.id}.json"
        assert Order.from_request(file.read_bytes(), one.id) == one
    before = {*requests.iterdir()}
    for order, value, rule in (
        (control.workers, 2.5, "workers must be a whole number, got 2.5"),
        (control.stop, "5", "trial must be a whole number, got '5'"),
        (control.finish, None, "finish must have trial, got none"),
        (control.budget, [60], r"time_budget_seconds must be a number, got \[60\]"),
        (control.add, {"hidden_size": np.float64(2.5)}, "hidden_size must be int, got 2.5"),
        (control.add, {"hidden_size": Path("64")}, "hidden_size must be int, got"),
    ):
        with pytest.raises(ConfigError, match=rule):
            order(value)
    assert {*requests.iterdir()} == before


def test_baseline_that_has_had_its_time_has_ended(folder: RunFolder) -> None:
    with History(folder.history_file) as history:
        add_all(history)
        config = RECORDS[0].config.to_dict()
        for number, has_had_its_time in ((4, True), (5, False)):
            start = TrialStarted(
                number=number, baseline=f"b{number}", config=config, search_seconds=60.0
            )
            end = TrialEnded(
                number=number,
                status=Status.STOPPED,
                error="",
                search_seconds=120.0,
                has_had_its_time=has_had_its_time,
            )
            history.add(start)
            history.add(end)
        assert f"trials: 4 of {SPACE.budget.trials} ended; " in RunStatus.of(folder).text()
        history.add(dataclasses.replace(start, number=4, baseline="b4"))
        assert f"trials: 3 of {SPACE.budget.trials} ended; " in RunStatus.of(folder).text()
