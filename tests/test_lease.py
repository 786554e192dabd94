"""When the driver that has the lease of a run is taken for dead."""

import dataclasses
import json
import os
import platform
from pathlib import Path

import pytest

from tune import lease as lease_module
from tune.lease import FILE, Holder, Lease


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


def test_lease_of_an_earlier_version_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("STALE", 0.3), ("SETTLE", 0.01), ("POLL", 0.02)):
        monkeypatch.setattr(lease_module, f"{name}_SECONDS", seconds)
    values = {"host": platform.node(), "pid": os.getpid(), "started": "1", "token": "theirs"}
    (tmp_path / FILE).write_text(json.dumps(values), encoding="utf-8")
    said: list[str] = []
    Lease(str(tmp_path)).take(said.append)
    who = f"process {os.getpid()} on {platform.node()}"
    assert len(said) == 1 and said[0].startswith(f"{who} drove this run just now; waiting")
