"""How much memory this machine has for new processes, and how much this one may take."""

import os
import re
import resource
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_STATUS = Path("/proc/self/status")
_CONTAINER = Path("/sys/fs/cgroup")
_CONTAINER_FILES = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)
"""A container's limit, what it uses, and of what: control groups of version 2 and of version 1."""


def free_bytes(meminfo: Path = _MEMINFO, container: Path = _CONTAINER) -> int:
    """Return the bytes that new processes can take: the machine's, or what a container leaves.

    Args:
        meminfo: Linux' table of the machine's memory; where there is none, all memory counts.
        container: The folder of the control group that this process is in.
    """
    if not meminfo.exists():
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    free = 1024 * _number(r"^MemAvailable: +(\d+) kB", meminfo)
    for limit, used, parts in ((container / name for name in names) for names in _CONTAINER_FILES):
        if limit.exists() and limit.read_text(encoding="ascii").strip() != "max":
            # Pages of files that were read are given back when memory is short.
            spare = _number(r"^(?:total_)?inactive_file (\d+)", parts)
            left = _number(r"(\d+)", limit) - _number(r"(\d+)", used) + spare
            free = min(free, max(0, left))
    return free


def limit_growth(num_bytes: int) -> None:
    """Have the system refuse this process more memory than it has now and so many bytes.

    An allocation then fails, so a defect that allocates without end is an error of its own, and
    takes nothing from others. Where the system does not tell what a process has, nothing is done.
    """
    if _STATUS.exists():
        held = 1024 * _number(r"^VmData:\s+(\d+) kB", _STATUS)
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (held + num_bytes, most))


def _number(pattern: str, path: Path) -> int:
    """Return the last number that a pattern finds in a file, 0 if there is none."""
    found = re.findall(pattern, path.read_text(encoding="ascii"), re.MULTILINE)
    return int(found[-1]) if found else 0
