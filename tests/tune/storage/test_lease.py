"""When the driver that has the lease of a run is taken for dead."""

import dataclasses
import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from pyarrow import fs

from model.system.filesystem import write
from tune.records.run_folder import LEASE_FILE
from tune.storage import lease as lease_module
from tune.storage.lease import SETTLE_SECONDS, STALE_SECONDS, Holder, Lease


@pytest.mark.skipif(platform.system() != "Linux", reason="nothing is known of a process")
def test_only_a_process_that_would_be_seen_here_is_taken_for_dead() -> None:
    assert not Holder.this_process().is_dead()
    dead = dataclasses.replace(Holder.this_process(), started="1")  # before a later one
    assert dead.is_dead()
    # Two containers may have one host's name, and so may two machines.
    for name in ("host", "boot_id", "pid_namespace"):
        for value in ("another", ""):
            assert not dataclasses.replace(dead, **{name: value}).is_dead(), (name, value)
    assert not dataclasses.replace(dead, started="").is_dead()


@pytest.mark.skipif(platform.system() != "Linux", reason="nothing is known of a process")
def test_process_may_have_any_bytes_for_a_name() -> None:
    name, started = Path("/proc/self/comm"), Holder.this_process().started
    before = name.read_bytes()
    try:
        name.write_bytes(b"caf\xe9 ) x")
        assert Holder.this_process().started == started != ""
    finally:
        name.write_bytes(before)


@pytest.fixture
def storage_seconds(monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    """Have a storage whose clock moves only as a driver waits; returns what tells the time."""
    now = [1_000_000.0]

    def write_now(file_system: fs.FileSystem, path: str, data: bytes) -> None:
        write(file_system, path, data)
        os.utime(path, (now[0], now[0]))

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(lease_module, "write", write_now)
    monkeypatch.setattr(lease_module, "time", SimpleNamespace(sleep=sleep))
    return lambda: now[0]


def test_lease_of_another_machine_is_taken_when_it_has_gone_stale(
    tmp_path: Path, storage_seconds: Callable[[], float]
) -> None:
    gone = Lease(str(tmp_path))
    gone._holder = dataclasses.replace(Holder.this_process(), host="elsewhere")
    gone._write()
    said: list[str] = []
    start = storage_seconds()
    Lease(str(tmp_path)).take(said.append)
    assert storage_seconds() - start == STALE_SECONDS + SETTLE_SECONDS
    assert len(said) == 1 and "on elsewhere was driving this run moments ago" in said[0]
    assert f"waiting {STALE_SECONDS:.0f} s " in said[0]
    os.utime(tmp_path / LEASE_FILE, (0, 0))
    Lease(str(tmp_path)).take(said.append)
    assert len(said) == 1


def test_lease_of_an_earlier_version_is_waited_for(
    tmp_path: Path, storage_seconds: Callable[[], float]
) -> None:
    values = {"host": platform.node(), "pid": os.getpid(), "started": "1", "token": "theirs"}
    (tmp_path / LEASE_FILE).write_text(json.dumps(values), encoding="utf-8")
    os.utime(tmp_path / LEASE_FILE, (storage_seconds() - 1, storage_seconds() - 1))
    said: list[str] = []
    Lease(str(tmp_path)).take(said.append)
    who = f"process {os.getpid()} on {platform.node()}"
    assert len(said) == 1 and said[0].startswith(
        f"{who} was driving this run moments ago; waiting"
    )
