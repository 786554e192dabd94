"""The control groups that this process is in: what a container or a service may take.

Docker, Kubernetes, Slurm and systemd limit cores and memory by them. A group's limit holds for all
groups below it.
"""

import os
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_OF_PROCESS = Path("/proc/self/cgroup")


def num_cpus() -> int:
    """Return how many cores this process may keep busy.

    In a container of 2 cores on a machine of 64 these are 2, also where it may run on any of 64.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    return usable_cpus(own_groups("cpu"), len(affinity(0)) if affinity else os.cpu_count() or 1)


def own_groups(controller: str, root: Path = ROOT, of_process: Path = _OF_PROCESS) -> list[Path]:
    """Return the folders of this process's groups; of version 2, and of a controller of version 1.

    Args:
        controller: "cpu" or "memory".
        root: Where the groups' file systems are.
        of_process: Linux' list of the groups of this process; without it the roots are its own.
    """
    paths = {root: "/", root / controller: "/"}
    if of_process.exists():
        for line in of_process.read_text(encoding="utf-8").splitlines():
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
