"""Full or read-only disks, damaged checkpoints, an interrupted report."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from model.errors import CheckpointError
from model.system.files import check_sum
from tiny_search import (
    command,
    kill_driver,
    kill_family,
    run_command,
    trials_of,
    wait_until,
    write_inputs,
)
from tune.storage.checkpoints import CheckpointStore

EXTERNAL_FAULT = 75


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A separate file system of 8 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system cannot be mounted: that takes root's rights")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(place: Path) -> Path:
    """Fill a disk to the last byte and return the file that fills it."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return filler


def set_mode(place: Path, mode: str) -> None:
    """Make a file system ro or rw; ro waits until nobody is writing."""
    remount = ["mount", "-o", f"remount,{mode}", str(place)]
    while subprocess.run(remount, capture_output=True, check=False).returncode != 0:
        time.sleep(0.01)


def search_until_fault(
    flags: list[str], run: Path, fault: Callable[[subprocess.Popen[str]], Any]
) -> subprocess.CompletedProcess[str]:
    """Start a driver, let two trials train two epochs, and return how it ended after a fault."""
    driver = subprocess.Popen(
        command(flags), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        before = num_epochs_of(run)
        wait_until(
            lambda: all(num_epochs_of(run).get(n, 0) >= before.get(n, 0) + 2 for n in (0, 1)),
            driver,
            poll_seconds=0.05,
        )
        fault(driver)
        output, errors = driver.communicate()
    finally:
        kill_family(driver)
    return subprocess.CompletedProcess(driver.args, driver.returncode, output, errors)


@pytest.mark.long
@pytest.mark.timeout(2_500)
@pytest.mark.parametrize("faulty", ["results", "storage", "read-only storage"])
def test_unwritable_disk_is_one_line_and_the_search_goes_on_when_there_is_room(
    faulty: str, disk: Path, tiny_text: str, tmp_path: Path
) -> None:
    flags = write_inputs(tiny_text, epochs=(100_000, 100_000))
    results, storage = (disk, tmp_path) if faulty == "results" else (tmp_path, disk)
    flags += ["--results", str(results / "runs"), "--storage", str(storage / "kept")]
    run = results / "runs" / "full"

    def fault(driver: subprocess.Popen[str]) -> None:
        if faulty == "read-only storage":
            set_mode(disk, "ro")
        else:
            fill(disk)

    ended = search_until_fault([*flags, "--name", "full"], run, fault)
    assert ended.returncode == EXTERNAL_FAULT, ended.stderr
    (line,) = ended.stderr.splitlines()
    reason = "Read-only file system" if "read-only" in faulty else "No space left on device"
    assert line.startswith("tune.run: a ") and reason in line
    assert line.endswith(f" -m tune.run --resume {os.path.relpath(run)}")
    assert "FAILED" not in ended.stdout
    if faulty == "read-only storage":
        set_mode(disk, "rw")
    else:
        (disk / "filler").unlink()
    resumed = search_until_fault(["--resume", str(run)], run, interrupt)
    assert resumed.returncode == 130, resumed.stderr
    epochs = pd.read_csv(run / "epochs.csv")
    for _, rows in epochs.groupby("number"):
        assert rows["epoch"].to_list() == list(range(1, len(rows) + 1))
    assert (pd.read_csv(run / "trials.csv")["status"] == "STOPPED").all()


def interrupt(driver: subprocess.Popen[str]) -> None:
    driver.send_signal(signal.SIGINT)


def num_epochs_of(run: Path) -> dict[int, int]:
    """Return, from the history, the number of epochs that each trial trained."""
    path = run / "history.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    events = [json.loads(line) for line in lines if line.endswith("\n")]
    return {
        event["epoch"]["number"]: event["epoch"]["epoch"]
        for event in events
        if event["event"] == "EpochEnded"
    }


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.long
@pytest.mark.timeout(2_000)
def test_damaged_checkpoints_are_passed_over(running: subprocess.Popen[str]) -> None:
    run = Path("results/long")
    wait_until(lambda: all(num_epochs_of(run).get(n, 0) > 3 for n in (0, 1)), running)
    kill_driver(running)
    store = CheckpointStore(str(run.resolve() / "ray"))
    places = {n: [Path(p) for p in found] for n, found in store.newest_first().items()}
    assert sorted(places) == [0, 1]
    # Damages the newest intact checkpoint of trial 0, and all of trial 1.
    whole = [place for place in places[0] if is_whole(place)]
    assert len(whole) >= 2
    flip_a_bit(whole[0] / "training.safetensors")
    for place in places[1]:
        model = place / "model.safetensors"
        model.write_bytes(model.read_bytes()[:-1] if model.exists() else b"")
    expected = json.loads((whole[1] / "meta.json").read_text())["last_metrics"]["epoch"] + 1
    num_lines = (run / "history.jsonl").read_bytes().count(b"\n")
    driver = subprocess.Popen(
        command(["--resume", str(run)]), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_until(lambda: len(first_epochs(run, num_lines)) == 2, driver)
        new = first_epochs(run, num_lines)
        interrupt(driver)
        _, errors = driver.communicate()
    finally:
        kill_family(driver)
    assert driver.returncode == 130, errors
    assert new == {0: expected, 1: 1}
    assert not (trials_of("long")["status"] == "FAILED").any()


def first_epochs(run: Path, num_lines: int) -> dict[int, int]:
    """Return each trial's first epoch after a number of lines of the history."""
    lines = (run / "history.jsonl").read_text().splitlines(keepends=True)[num_lines:]
    events = [json.loads(line) for line in lines if line.endswith("\n")]
    first: dict[int, int] = {}
    for event in events:
        if event["event"] == "EpochEnded":
            first.setdefault(event["epoch"]["number"], event["epoch"]["epoch"])
    return first


def is_whole(place: Path) -> bool:
    try:
        for name in ("model.safetensors", "training.safetensors", "meta.json"):
            check_sum(place, name)
    except CheckpointError:
        return False
    return True


@pytest.mark.long
def test_interrupt_in_the_report_is_130_and_the_report_is_written_on_resuming(
    tiny_text: str,
) -> None:
    flags = [*write_inputs(tiny_text, trials=2), "--finalists", "0", "--name", "short"]
    driver = subprocess.Popen(
        command(flags), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    study = Path("results/short/study.json")
    try:
        wait_until(
            lambda: study.exists() and json.loads(study.read_text())["ended"] != "still running",
            driver,
            poll_seconds=0.005,
        )
        driver.send_signal(signal.SIGTERM)
        _, errors = driver.communicate()
    finally:
        kill_family(driver)
    assert driver.returncode == 143
    assert errors.startswith("to continue: ") and errors.endswith("--resume results/short\n")
    assert not json.loads(study.read_text())["finished"]
    resumed = run_command(["--resume", "short"])
    assert resumed.returncode == 0, resumed.stderr
    assert "sample text (" in resumed.stdout
    assert json.loads(study.read_text())["finished"]
