"""How much memory this machine has for new processes, and how much this one may take."""

import os
import re
import resource
from pathlib import Path

from model.control_group import own_groups

_MEMINFO = Path("/proc/meminfo")
_STATUS = Path("/proc/self/status")
_GROUP_FILES = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat"),
)
"""A control group's limit, what it uses, and of what: version 2 and version 1."""


def free_bytes(meminfo: Path = _MEMINFO, groups: list[Path] | None = None) -> int:
    """Return the bytes that new processes can take: the machine's, or what a container leaves.

    Args:
        meminfo: Linux' table of the machine's memory; where there is none, all memory counts.
        groups: The folders of the control groups that this process is in; None looks for them.
    """
    if not meminfo.exists():
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    free = 1024 * _number(r"^MemAvailable: +(\d+) kB", meminfo)
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
    """Have the system refuse this process more memory than it has now and so many bytes.

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
    found = re.findall(pattern, path.read_text(encoding="ascii"), re.MULTILINE)
    return int(found[-1]) if found else 0
