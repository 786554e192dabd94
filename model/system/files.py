"""Files and folders that are written or replaced whole, and their checksums.

A kill leaves the old one or the new one. No portable call exchanges two folders, so the old one is
renamed aside first. Between the two renames it is there alone, under a name that
`readable_folder` knows.

Checksums are SHA-256, in a file as the command sha256sum writes and checks it. Names in it are
plain file names without line breaks: they are ours.
"""

import contextlib
import errno
import fcntl
import hashlib
import io
import os
import re
import shutil
import stat
import typing
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from model.errors import CheckpointError, ConfigError

SUMS_FILE = "SHA256SUMS"
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""`Path` makes one slash of two."""
_MAX_SUMS_BYTES = 1 << 16
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL)
"""What flock gives on file systems without it: Lustre, some of NFS and of FUSE."""


def expanded(path: str | Path) -> Path:
    """Return a path of the user's, in which ~ is a home folder.

    Raises:
        ConfigError: There is nobody of the name that follows ~, or it is a URI, of which a folder
            `s3:` would be made here.
    """
    if _URI.match(str(path)):
        raise ConfigError(f"a path must be one of this machine, got {str(path)!r}")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"a path must be that of somebody here, got {str(path)!r}") from error


def resolved(path: str | Path) -> Path:
    """Return the absolute path behind a path of the user's; links that lead in a circle stay.

    Raises:
        ConfigError: As `expanded`.
    """
    return Path(os.path.realpath(expanded(path)))  # Path.resolve raises there, until Python 3.13


def is_utf8(text: str) -> bool:
    r"""Return whether a text can be written down: bytes that were no UTF-8 are surrogates in it.

    >>> is_utf8("caf\u00e9"), is_utf8("caf\udce9")
    (True, False)
    """
    return text.isascii() or text == text.encode(errors="ignore").decode()


def check_utf8(path: Path) -> None:
    """Refuse a path that no file of ours could name.

    Raises:
        ConfigError: It is no UTF-8.
    """
    if not is_utf8(str(path)):
        raise ConfigError(f"a path must be UTF-8, got {str(path)!r}")


@contextmanager
def in_place_of(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces another when it is full.

    Raises:
        OSError: A folder cannot be written.
    """
    partial = _beside(folder, "partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)  # it takes what others need
        raise
    aside = _beside(folder, "replaced")
    if folder.exists():
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
    partial.rename(folder)
    shutil.rmtree(aside, ignore_errors=True)


def check_replaceable(folder: Path) -> None:
    """Make the parents of a folder, and see that it and what is beside it can be made.

    Raises:
        OSError: A folder cannot be written.
    """
    probe = _beside(folder, "possible")  # as long as the longest of the names
    probe.mkdir(parents=True, exist_ok=True)
    probe.rmdir()


def readable_folder(folder: Path) -> Path:
    """Return where a folder can be read: aside, if whoever replaced it was killed meanwhile.

    It is not put back: that process may be alive, and about to put the new one there.
    """
    aside = _beside(folder, "replaced")
    # os.path: pathlib raises where a name is too long, until Python 3.14.
    is_aside = os.path.exists(aside) and not os.path.exists(folder)  # noqa: PTH110
    return aside if is_aside else folder


def remove_replaceable(folder: Path) -> None:
    """Remove a folder that `in_place_of` has made, and an older one that a kill left aside."""
    for each in (_beside(folder, "replaced"), folder):
        shutil.rmtree(each, ignore_errors=True)


def read_regular(path: Path, *, max_bytes: int | None = None) -> bytes:
    """Read a file whose name others chose: a link, a pipe or a device is refused, not opened.

    Args:
        path: The file; its folders are the caller's word.
        max_bytes: The most that it may have, inclusive; None is no limit.

    Raises:
        OSError: It cannot be read, is no regular file, or is larger.
    """
    with _opened(path, os.O_RDONLY) as file:
        size = os.fstat(file.fileno()).st_size
        if max_bytes is not None and size > max_bytes:
            raise OSError(errno.EFBIG, f"a file must have at most {max_bytes:,} bytes", str(path))
        return file.read()


def opened_to_append(path: Path) -> BinaryIO:
    """Open a file to read it and append to it, without a buffer; a link is refused.

    Raises:
        OSError: It cannot be written, or is no regular file.
    """
    # Without a buffer: what cannot be written must not be tried again later.
    return _opened(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)


def lock_file(file: BinaryIO) -> bool:
    """Lock a file for this process until it is closed.

    Returns:
        Whether it is locked: False on a file system without locks.

    Raises:
        BlockingIOError: Another process holds it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False
    return True


def _opened(path: Path, flags: int) -> BinaryIO:
    # O_NONBLOCK: a pipe that nobody writes would hang.
    number = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "a file must be a regular file", str(path))
    mode: Any = "rb" if flags == os.O_RDONLY else "ab+"
    return typing.cast(BinaryIO, os.fdopen(number, mode, buffering=0))


def check_no_links(paths: Iterable[Path]) -> None:
    """Refuse links, pipes and devices among some files and folders; those that are missing may.

    Raises:
        OSError: One is none of a regular file and a folder.
    """
    for path in paths:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            mode = path.lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise OSError(errno.ELOOP, "neither a file nor a folder, but a link", str(path))


def check_holds_files(folder: Path, names: Iterable[str]) -> None:
    """Refuse links, pipes and devices in the folder of a checkpoint, which others may have made.

    Args:
        folder: It; that it is reached through a link is the user's word.
        names: Of files and folders in it; those that are missing may.

    Raises:
        CheckpointError: One is none of a regular file and a folder.
    """
    try:
        check_no_links(folder / name for name in names)
    except OSError as error:
        rule = "a checkpoint must hold its files itself"
        raise CheckpointError(f"{rule}: {error.filename}: {error.strerror}") from error


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: a reader never sees half of it.

    Raises:
        OSError: It cannot be written; then what was there is there still.
    """
    # A name of its own: what a driver writes, `tune.report` or another machine may write too.
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:  # Ctrl-C too
        partial.unlink(missing_ok=True)  # on a full disk it takes what others need
        raise


def append_whole(file: BinaryIO, content: bytes) -> None:
    """Append to a file that was opened to append and without a buffer: all or nothing.

    Raises:
        OSError: It cannot be written, for the disk is full, say; then nothing of it is.
    """
    end = file.seek(0, io.SEEK_END)
    try:
        while content:  # a disk that becomes full takes a part of it
            content = content[file.write(content) :]
    except OSError:
        with contextlib.suppress(OSError):
            file.truncate(end)
        raise


def cache_folder() -> Path:
    """Return the folder of what this program keeps for the user from run to run."""
    root = os.environ.get("XDG_CACHE_HOME")
    if not root:
        try:
            root = f"{Path.home()}/.cache"
        except RuntimeError:  # of a user without a name and HOME, as in a container
            root = "/.cache"
    return Path(root) / "char-lstm-tune"


def _beside(folder: Path, suffix: str) -> Path:
    whole = folder.absolute()  # "." has no name, and "/" has none at all
    return whole.parent / f".{whole.name}.{suffix}"


def write_sums(folder: Path, names: Iterable[str]) -> None:
    """Write the checksums of some files of a folder into the folder.

    Raises:
        OSError: A file cannot be read, or the folder not written.
    """
    lines = [f"{sha256_of(folder / name)}  {name}\n" for name in names]
    (folder / SUMS_FILE).write_text("".join(lines), encoding="utf-8")


def check_sum(folder: Path, name: str) -> None:
    """Compare a file of a folder with its checksum.

    Raises:
        CheckpointError: It differs, is missing, or has no checksum.
    """
    path = folder / SUMS_FILE
    try:
        lines = read_regular(path, max_bytes=_MAX_SUMS_BYTES).decode().splitlines()
        sums = {of: digest for digest, of in (line.split("  ", 1) for line in lines)}
        expected, found = sums[name], sha256_of(folder / name)
    except FileNotFoundError as error:
        raise CheckpointError(f"damaged folder {folder}: it lacks {error.filename}") from error
    except KeyError as error:
        raise CheckpointError(f"damaged folder {folder}: {SUMS_FILE} lacks {name}") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"unreadable folder {folder}: {error}") from error
    if found != expected:
        raise CheckpointError(f"damaged file {folder / name}: its SHA-256 differs")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: a reader never sees half of it."""
    write_whole(path, text.encode())


def unwritable(error: BaseException | str) -> str | None:
    """Return why no file can be written, if that is what an error says; else None.

    Ray and pyarrow pass on the text of an error of the system, not always the error.

    >>> unwritable(OSError(28, "No space left on device"))
    'No space left on device'
    >>> unwritable("worker: OSError: [Errno 30] Read-only file system: '/mnt/runs'")
    'Read-only file system'
    >>> unwritable(ValueError("batch_size must be at least 1"))
    """
    seen: BaseException | None = None if isinstance(error, str) else error
    texts = [error] if isinstance(error, str) else []
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _UNWRITABLE:
            return os.strerror(seen.errno)
        texts.append(str(seen))
        seen = seen.__cause__ or seen.__context__
    return next(
        (os.strerror(n) for n in _UNWRITABLE for text in texts if os.strerror(n) in text), None
    )
