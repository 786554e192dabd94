"""What this process may take: cores, and memory; and how much memory it holds.

Docker, Kubernetes, Slurm and systemd limit cores and memory by control groups. A group's limit
holds for all groups below it.
"""

import ctypes
import os
import re
import resource
import sys
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_OF_PROCESS = Path("/proc/self/cgroup")
_MEMINFO = Path("/proc/meminfo")
_STATUS = Path("/proc/self/status")
_AMD_DRIVER = Path("/dev/kfd")
_GROUP_FILES = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat"),
)
"""A control group's limit, what it uses, and of what: version 2 and version 1."""
CONTEXT_BYTES = 600 << 20
"""What CUDA takes of a GPU for each process besides its tensors, about; never measured here."""


def num_cpus() -> int:
    """Return how many cores this process may keep busy.

    In a container of 2 cores on a machine of 64 these are 2, also where it may run on any of 64.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    return usable_cpus(own_groups("cpu"), len(affinity(0)) if affinity else os.cpu_count() or 1)


def has_gpu_driver() -> bool:
    """Return whether there may be GPUs: a driver of them is here. torch would take 2 s to tell."""
    if _AMD_DRIVER.exists():
        return True
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def own_groups(controller: str, root: Path = ROOT, of_process: Path = _OF_PROCESS) -> list[Path]:
    """Return the folders of this process's groups; of version 2, and of a controller of version 1.

    Args:
        controller: "cpu" or "memory".
        root: Where the groups' file systems are.
        of_process: Linux' list of the groups of this process; without it the roots are its own.
    """
    paths = {root: "/", root / controller: "/"}
    if of_process.exists():
        for line in os.fsdecode(of_process.read_bytes()).splitlines():
            number, controllers, path = line.split(":", 2)
            if number == "0":
                paths[root] = path
            elif controller in controllers.split(","):
                paths[root / controller] = path
    groups = []
    for base, path in paths.items():
        own = base / path.lstrip("/")
        # In a container the root is its own group, and its path may be that of the host.
        groups += [base, *(at for at in [*own.parents, own] if base in at.parents)]
    return [group for group in groups if group.is_dir()]


def usable_cpus(groups: list[Path], num_cpus: int) -> int:
    """Return how many whole cores the groups let this process keep busy, at least 1.

    Args:
        groups: Of the controller "cpu".
        num_cpus: Cores that it may run on.
    """
    for group in groups:
        quota = _cpu_quota(group)
        if quota is not None:
            num_cpus = min(num_cpus, int(quota))
    return max(1, num_cpus)


def _cpu_quota(group: Path) -> float | None:
    """Return a group's seconds of processor time in a second; None is no limit."""
    new = group / "cpu.max"
    old = group / "cpu.cfs_quota_us", group / "cpu.cfs_period_us"
    if new.exists():
        quota, period = new.read_text(encoding="ascii").split()
    elif all(path.exists() for path in old):
        quota, period = (path.read_text(encoding="ascii").strip() for path in old)
    else:
        return None
    return None if quota in ("max", "-1") else int(quota) / int(period)


def free_bytes(meminfo: Path = _MEMINFO, groups: list[Path] | None = None) -> int:
    """Return the bytes that new processes can take: the machine's, or what a container leaves.

    Args:
        meminfo: Linux' table of the machine's memory; where there is none, all memory counts.
        groups: The folders of the control groups that this process is in; None looks for them.
    """
    if not meminfo.exists():
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    available = _number(r"^MemAvailable: +(\d+) kB", meminfo)
    free = 1024 * (available or _number(r"^MemFree: +(\d+) kB", meminfo))  # WSL 1 has no other
    groups = own_groups("memory") if groups is None else groups
    files = ([group / name for name in names] for group in groups for names in _GROUP_FILES)
    for limit, used, parts in files:
        if limit.exists() and limit.read_text(encoding="ascii").strip() != "max":
            # Pages of files that were read are given back when memory is short.
            spare = _number(r"^(?:total_)?inactive_file (\d+)", parts)
            left = _number(r"(\d+)", limit) - _number(r"(\d+)", used) + spare
            free = min(free, max(0, left))
    return free


def limit_growth(num_bytes: int) -> None:
    """Have the system refuse this process more than `num_bytes` beyond the memory it has now.

    An allocation then fails, so a defect that allocates without end is an error of its own, and
    takes nothing from others. Where the system does not tell what a process has, nothing is done.
    """
    if _STATUS.exists():
        held = 1024 * _number(r"^VmData:\s+(\d+) kB", _STATUS)
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        asked = held + num_bytes
        lower = asked if most == resource.RLIM_INFINITY else min(asked, most)
        resource.setrlimit(resource.RLIMIT_DATA, (lower, most))


def _number(pattern: str, path: Path) -> int:
    """Return the last number that a pattern finds in a file, 0 if there is none."""
    text = path.read_text(encoding="ascii", errors="replace")  # a process's name is any bytes
    found = re.findall(pattern, text, re.MULTILINE)
    return int(found[-1]) if found else 0


def resident_bytes() -> int:
    """Return the memory that this process holds now; where that cannot be read, its peak."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def reset_peak() -> bool:
    """Have `peak_bytes` count from now; return whether the system can (Linux can)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def peak_bytes() -> int | None:
    """Return the most that this process has held since `reset_peak` was true; None if unknown."""
    peak = _number(r"^VmHWM:\s+(\d+) kB", _STATUS) if _STATUS.exists() else 0
    return 1024 * peak or None
