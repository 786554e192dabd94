"""A run on a file system without flock: a lease keeps other drivers out instead."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from model.errors import ConfigError
from repository import SUPPORT
from tiny_search import trials_of, write_inputs
from tune.records.history import History
from tune.records.history_lock import check_no_driver
from tune.storage import lease
from tune.storage.folder_lease import leased_folder

PATH = Path("history.jsonl")


@pytest.mark.parametrize(
    "number",
    sorted({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}),
    ids=os.strerror,
)
def test_history_opens_where_the_file_system_has_no_locks(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with History(PATH) as history:
        assert history.is_locked

    def flock(file: Any, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with History(PATH) as history:
        assert not history.is_locked
        check_no_driver(PATH)


def test_other_faults_of_a_lock_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(file: Any, operation: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="Input/output error"):
        History(PATH)


def test_second_driver_is_refused_by_the_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.05)
    monkeypatch.setattr(lease, "SETTLE_SECONDS", 0.05)
    monkeypatch.setattr(lease, "POLL_SECONDS", 0.3)
    said: list[str] = []
    with leased_folder(tmp_path, say=said.append):
        assert (tmp_path / "driver.json").exists()
        assert "has no locks" in said[0]
        with (
            pytest.raises(ConfigError, match="a run must have one driver, but process"),
            leased_folder(tmp_path, say=said.append),
        ):
            pytest.fail("two drivers")
    assert list(tmp_path.iterdir()) == []


def test_driver_that_lost_its_folder_writes_no_results_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.05)
    monkeypatch.setattr(lease, "SETTLE_SECONDS", 0.05)
    numbers: list[int] = []
    before = {
        number: signal.signal(number, lambda got, frame: numbers.append(got))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    said: list[str] = []
    try:
        with leased_folder(tmp_path, say=said.append):
            other = lease.Lease(str(tmp_path))
            other._write()  # it took this driver, which slept, for dead
            while len(numbers) < 2:
                time.sleep(0.01)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    # A second signal ends a search at once, where the first has its results written.
    assert sorted(numbers) == [signal.SIGINT, signal.SIGTERM]
    assert f"another driver took over {tmp_path}; this one ends" in said
    assert other.is_ours()  # it is not given back for the other


@pytest.mark.slow
def test_search_on_a_file_system_without_locks_runs_to_its_end(tiny_text: str) -> None:
    flags = [*write_inputs(tiny_text, trials=3), "--name", "lockless"]
    flags += ["--finalists", "1", "--finalist-seeds", "1"]
    program = [sys.executable, str(SUPPORT / "search_without_locks.py")]
    done = subprocess.run([*program, *flags], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("has no locks: a file keeps other drivers out instead") == 1
    assert len(trials_of("lockless")) == 3
    assert not Path("results/lockless/driver.json").exists()
