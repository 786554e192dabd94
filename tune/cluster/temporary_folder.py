"""The folder of a local Ray: checked before Ray starts, and removed when it has ended.

Ray 2.60 writes its sockets and logs to the temporary folder and leaves them there: 0.4 MB in a
short search, then 6 MB per hour, up to 2 MB per process (ray_environment.py). Here each search has
its own folder.
"""

import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

from model.errors import ConfigError

MAX_SOCKET_BYTES = 107 if sys.platform == "linux" else 103
"""Longest path of a socket: AF_UNIX's field without its final zero."""
ROOM_BYTES = 16 << 20
"""Required free space: about 30 times the logs of a short search."""
_PROBE_BYTES = 1 << 20
FOLDER_MODE = 0o700
_IN_SESSION = "session_2026-11-28_09-01-06_155854_{pid}/sockets/plasma_store"
"""Ray 2.60's longest socket path; all session names have the same length."""
_NEEDS_QUOTES = frozenset("'\"\\`$")


def temporary_folder() -> tuple[Path, str]:
    """Return the absolute path where Ray would put its files, and the variable that names it."""
    names = ("RAY_TMPDIR", "TMPDIR") if sys.platform == "linux" else ("RAY_TMPDIR",)
    for name in names:
        if os.environ.get(name):
            return Path(os.environ[name]).absolute(), name
    return Path("/tmp"), ""


def make_ray_folder() -> Path:
    """Create the folder of one local Ray.

    Raises:
        ConfigError: The temporary folder is unsuitable; the line says why.
    """
    parent, variable = temporary_folder()
    _check_path(parent, variable)
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unfit(parent, variable, f"be writable: {error.strerror}") from error
    reason = why_full(parent)
    if reason is not None:
        raise _unfit(parent, variable, f"be writable: {reason}")
    folder = _new_name(parent)
    folder.mkdir(mode=FOLDER_MODE)
    return folder


def why_full(folder: Path) -> str | None:
    """Return why a folder accepts no files; None if it accepts one and has room for more."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(_PROBE_BYTES))  # shows a quota
            free_bytes = shutil.disk_usage(folder).free
    except OSError as error:
        return error.strerror or str(error)
    if free_bytes < ROOM_BYTES:
        return f"{ROOM_BYTES >> 20} MiB must be free, {free_bytes >> 20} are"
    return None


def remove_all(folders: list[Path]) -> None:
    """Remove folders, even if Ray's processes are ending and write a last line into them."""
    for folder in folders:
        for _ in range(3):
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break


def _new_name(parent: Path) -> Path:
    # Short, because sockets have long paths.
    while True:
        folder = parent / f"ray{secrets.token_hex(2)}"
        if not folder.exists():
            return folder


def _check_path(parent: Path, variable: str) -> None:
    text = str(parent)
    if not (text.isascii() and text.isprintable()) or _NEEDS_QUOTES & set(text):
        rule = "have a name of ASCII characters without quotes, backslashes and $"
        raise _unfit(parent, variable, rule)
    socket = parent / "ray0000" / _IN_SESSION.format(pid=os.getpid())
    too_many = len(os.fsencode(socket)) - MAX_SOCKET_BYTES
    if too_many > 0:
        most = len(text) - too_many
        raise _unfit(
            parent,
            variable,
            f"have a path of at most {most} bytes, for its sockets, got {len(text)}",
        )


def _unfit(parent: Path, variable: str, rule: str) -> ConfigError:
    source = f" (from {variable})" if variable else ""
    return ConfigError(
        f"the temporary folder of the local Ray must {rule}: {str(parent)!r}{source}; name "
        f"another in RAY_TMPDIR"
    )
