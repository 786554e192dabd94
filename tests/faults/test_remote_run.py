"""A run with its storage on a real S3 server: any machine can resume it."""

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest
from pyarrow import fs

from model.system.filesystem import files_below, open_location, read
from repository import ROOT
from s3_server import s3_server
from tiny_search import (
    command,
    kill_family,
    run_command,
    trial_workers,
    trials_of,
    wait_until,
    write_inputs,
)
from tune import control

PLACE = "s3://bucket/runs"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[fs.FileSystem]:
    with s3_server() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield open_location("s3://bucket")[0]


def names(bucket: fs.FileSystem, root: str) -> list[str]:
    return list(files_below(bucket, root, recursive=True))


def copied_history(bucket: fs.FileSystem, root: str) -> bytes:
    is_there = "history.jsonl" in files_below(bucket, root, recursive=False)
    return read(bucket, f"{root}/history.jsonl") if is_there else b""


def documented_commands() -> list[list[str]]:
    text = (ROOT / "docs/storage.md").read_text(encoding="utf-8")
    lines = re.findall(r"^```sh\npython -m tune\.run (.*)\n```", text, re.MULTILINE)
    return [shlex.split(line) for line in lines]


@pytest.mark.long
@pytest.mark.timeout(3_000)
def test_search_of_one_machine_is_finished_by_another_from_an_empty_folder(
    bucket: fs.FileSystem, tiny_text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = [*write_inputs(tiny_text, trials=10, epochs=(6, 30)), "--finalists", "0"]
    first = tmp_path / "first"
    for name in ("tiny.py", "book.txt"):
        first.mkdir(exist_ok=True)
        Path(name).rename(first / name)
    monkeypatch.chdir(first)
    # The commands are those of docs/storage.md, on a smaller space.
    start, go_on, either = documented_commands()
    assert start[4:] == ["--name", "shared", "--storage", PLACE]
    assert either == [*start, "--or-resume"]
    driver = subprocess.Popen(
        command([*flags, *start[4:]]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        # Killed once the copy in the storage, renewed every 10 s, has the end of a trial; until
        # then the others are held, so that some are left for the second machine.
        history = first / "results/shared/history.jsonl"
        while b"TrialEnded" not in copied_history(bucket, "bucket/runs/shared"):
            assert driver.poll() is None, driver.communicate()
            if history.exists() and b"TrialEnded" in history.read_bytes():
                for worker in trial_workers(driver):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        worker.suspend()
            time.sleep(0.1)
    finally:
        kill_family(driver)
    assert history.read_bytes().count(b"TrialEnded") < 10
    shutil.rmtree(first)  # the machine is gone, and its text
    second = tmp_path / "second"
    second.mkdir()
    monkeypatch.chdir(second)
    assert go_on == ["--resume", f"{PLACE}/shared"]
    done = run_command(go_on)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    trials = trials_of("shared")
    assert trials["number"].to_list() == list(range(10))
    assert trials["status"].isin(["COMPLETE", "PRUNED"]).all()
    epochs = pd.read_csv("results/shared/epochs.csv")
    for _, rows in epochs.groupby("number"):
        assert rows["epoch"].to_list() == list(range(1, len(rows) + 1))
    there = names(bucket, "bucket/runs/shared")
    # One checkpoint per trial from both sessions together.
    metas = [name for name in there if name.endswith("/checkpoint/meta.json")]
    assert len(metas) == len({name.split("/")[1] for name in metas}) == 10
    assert {name.split("/")[0] for name in metas} == {"session-1", "session-2"}
    # The size that docs/storage.md states.
    for trial in trials.itertuples():
        # A promoted trial continues in a folder with a second number.
        own = re.compile(rf"/trial_{trial.number:05d}(-\d+)?/checkpoint_")
        folders = [name for name in there if own.search(name)]
        num_bytes = sum(
            info.size
            for info in bucket.get_file_info([f"bucket/runs/shared/{n}" for n in folders])
        )
        assert 0 < num_bytes - 16 * trial.num_parameters < 40_000
    # The run in the storage is complete: a third machine reads it and has nothing to do.
    assert "driver.json" not in there
    third = tmp_path / "third"
    third.mkdir()
    monkeypatch.chdir(third)
    again = run_command(["--resume", f"{PLACE}/shared"])
    assert again.returncode == 0, again.stderr
    assert "already finished, nothing to do" in again.stdout
    for path in (second / "results/shared").rglob("*"):
        if path.is_file() and "tensorboard" not in path.parts:
            copy = third / path.relative_to(second)
            assert copy.read_bytes() == path.read_bytes(), path
    study = json.loads(Path("results/shared/study.json").read_text())
    assert study["resume"] == f"python -m tune.run --resume {PLACE}/shared"
    # A name in the storage is refused, like one in the results folder.
    write_inputs(tiny_text)
    taken = run_command([*flags, "--results", "other", "--name", "shared", "--storage", PLACE])
    assert taken.returncode == 2
    assert "a run must not exist yet in the storage: s3://bucket/runs/shared" in taken.stderr


@pytest.mark.long
def test_second_driver_of_a_remote_run_is_refused_and_the_first_takes_orders(
    bucket: fs.FileSystem, tiny_text: str, tmp_path: Path
) -> None:
    root = "bucket/runs/long"
    flags = write_inputs(tiny_text, epochs=(100_000, 100_000))
    driver = subprocess.Popen(
        command([*flags, "--name", "long", "--storage", PLACE]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: "study.json" in names(bucket, root), driver)
        second = run_command(["--resume", f"{PLACE}/long", "--results", str(tmp_path / "else")])
        assert second.returncode == 2
        assert "a run must have one driver, but process" in second.stderr
        assert second.stderr.count("\n") == 1
        assert f"process {driver.pid} on {os.uname().nodename}" in second.stderr
        wait_until(lambda: "control/open" in names(bucket, root), driver)
        assert control.main([f"{PLACE}/long", "workers", "1"]) == 0
        history = Path("results/long/history.jsonl")
        wait_until(lambda: b"OrderCarriedOut" in history.read_bytes(), driver)
        assert control.main([f"{PLACE}/long", "end"]) == 0
        output, errors = driver.communicate()
        assert driver.returncode == 130, errors
        assert f"or, on any machine: python -m tune.run --resume {PLACE}/long" in output
        there = names(bucket, root)
        assert "driver.json" not in there
        assert not any(name.startswith("control/") for name in there)
        orders = pd.read_csv(io.BytesIO(read(bucket, f"{root}/orders.csv")))
        assert orders["order"].to_list() == ["workers", "end"]
        assert orders["carried_out_seconds"].notna().all() and orders["refused"].isna().all()
    finally:
        kill_family(driver)
