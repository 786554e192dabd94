"""What a container or a service may take, by its control groups."""

import os
from pathlib import Path

import pytest

from model.system import limits
from model.system.limits import free_bytes, own_groups, usable_cpus


def group(path: Path, **files: str) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (path / name.replace("__", ".")).write_text(f"{text}\n", encoding="ascii")
    return path


def test_groups_of_both_versions_from_the_root_to_ones_own(tmp_path: Path) -> None:
    root, of_process = tmp_path / "cgroup", tmp_path / "self"
    own = group(root / "user.slice" / "mine.service")
    old = group(root / "cpu" / "job")
    group(root / "memory" / "job")
    of_process.write_text("5:memory:/job\n1:cpu,cpuacct:/job\n0::/user.slice/mine.service\n")
    assert own_groups("cpu", root, of_process) == [root, own.parent, own, root / "cpu", old]
    # A container sees its own group as the root, and may read the host's path of it.
    of_process.write_text("0::/kubepods/pod7\n")
    assert own_groups("cpu", root, of_process) == [root, root / "cpu"]
    assert own_groups("cpu", root, tmp_path / "nowhere") == [root, root / "cpu"]
    theirs = group(root / "caf\udce9")  # any bytes may be a name
    of_process.write_bytes(b"0::/caf\xe9\n")
    assert own_groups("cpu", root, of_process) == [root, theirs, root / "cpu"]


@pytest.mark.skipif(not limits.reset_peak(), reason="this system does not count a process's peak")
def test_memory_of_a_process_whose_name_is_no_text() -> None:
    name = Path("/proc/self/comm")
    before = name.read_bytes()
    try:
        name.write_bytes(b"caf\xe9")
        peak = limits.peak_bytes()
    finally:
        name.write_bytes(before)
    assert peak is not None and peak > 0


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 64),
        ({"cpu__max": "max 100000"}, 64),
        ({"cpu__max": "200000 100000"}, 2),
        ({"cpu__max": "150000 100000"}, 1),
        ({"cpu__max": "5000 100000"}, 1),
        ({"cpu__cfs_quota_us": "-1", "cpu__cfs_period_us": "100000"}, 64),
        ({"cpu__cfs_quota_us": "400000", "cpu__cfs_period_us": "100000"}, 4),
    ],
)
def test_quota_of_any_group_counts(tmp_path: Path, files: dict[str, str], cores: int) -> None:
    outer, inner = group(tmp_path / "outer", **files), group(tmp_path / "inner")
    assert usable_cpus([outer, inner], 64) == usable_cpus([inner, outer], 64) == cores
    assert usable_cpus([outer], 1) == 1


def test_fewer_of_affinity_and_quota_are_kept_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = group(tmp_path, cpu__max="200000 100000")
    monkeypatch.setattr(limits, "own_groups", lambda controller: [limited])
    for cores, busy in ((64, 2), (2, 2), (1, 1)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid, n=cores: set(range(n)))
        assert limits.num_cpus() == busy


def test_memory_that_a_kernel_does_not_call_available_is_what_is_free(tmp_path: Path) -> None:
    """WSL 1, and Linux before 3.14: no search had any memory there."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       16661044 kB\nMemFree:         6953132 kB\n", "ascii")
    assert free_bytes(meminfo, []) == 6_953_132 << 10
