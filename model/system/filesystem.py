"""Opens and uses a local path or a URI through pyarrow's file systems.

Credentials come from the standard sources alone (environment, configuration files, the machine's
role). A URI that holds some is refused, for locations are printed and written down.
"""

import re
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from pyarrow import fs

from model.errors import ConfigError, first_line
from model.system.ending import leave_threads
from model.system.files import read_regular, write_whole

ANSWER_SECONDS = 20.0
_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
STORE_ERRORS = (OSError, ValueError, NotImplementedError)
"""The families of pyarrow's errors; the last is of what this pyarrow was built without."""
_OBJECT_STORES = ("s3", "gcs", "abfs")
"""Where a path needs no folder; one that is made there is an object of its own."""
_CREDENTIALS = re.compile(r"[\w+.-]+://[^/?#]*@")
_Answer = TypeVar("_Answer")


def is_uri(location: str) -> bool:
    """Return whether a location is a URI, not a path."""
    return "://" in location


def join(location: str, *names: str) -> str:
    """Return a location inside another.

    >>> join("s3://bucket/runs?endpoint_override=127.0.0.1:9000", "book")
    's3://bucket/runs/book?endpoint_override=127.0.0.1:9000'
    >>> join("/data/runs/", "book", "session-1")
    '/data/runs/book/session-1'
    """
    path, mark, query = _parts(location)
    return "/".join([path.rstrip("/"), *names]) + mark + query


def normal(location: str) -> str:
    """Return a location without slashes at its end: each has one spelling.

    >>> normal("s3://bucket/runs/?scheme=http"), normal("/data/runs/"), normal("/")
    ('s3://bucket/runs?scheme=http', '/data/runs', '/')
    """
    path, mark, query = _parts(location)
    short = path.rstrip("/")
    return location if short.endswith(":") or not short else short + mark + query


def split(location: str) -> tuple[str, str]:
    """Return the parent of a location, and the location's name in it.

    >>> split("s3://bucket/runs/book?scheme=http")
    ('s3://bucket/runs?scheme=http', 'book')
    >>> split("/odd?folder/book")
    ('/odd?folder', 'book')
    """
    path, mark, query = _parts(location)
    parent, _, name = path.rstrip("/").rpartition("/")
    return parent + mark + query, name


def _parts(location: str) -> tuple[str, str, str]:
    """Return the path, the question mark and the query; a local path has no query."""
    return location.partition("?") if is_uri(location) else (location, "", "")


def check_storage(location: str) -> None:
    """Write, read and delete a small file at a storage URI or an absolute local path.

    Raises:
        ConfigError: The storage cannot be reached or written, or is no URI.
    """

    def probe() -> None:
        file_system, path = open_location(location)
        file_system.create_dir(path, recursive=True)
        folder = f"{path}/write-probe-{uuid.uuid4().hex}"
        probe_path = f"{folder}/probe"  # a run has folders inside it
        write(file_system, probe_path, b"probe")
        if read(file_system, probe_path) != b"probe":
            raise OSError("what was written cannot be read")
        file_system.delete_dir(folder)

    late = ConfigError(f"a storage must answer within {ANSWER_SECONDS:g} s: {location}")
    try:
        within_seconds(ANSWER_SECONDS, probe, late=late)
    except ConfigError:
        raise
    except STORE_ERRORS as error:
        raise ConfigError(broken_rule(location, error)) from error


def within_seconds(seconds: float, ask: Callable[[], _Answer], *, late: Exception) -> _Answer:
    """Return what a function returns in a thread, or raise what it raises.

    The wait is ours: a store's own retries take minutes, and urllib has a limit for each read and
    none for a whole answer.

    Args:
        seconds: What it may take.
        ask: The function; it is left to itself after that.
        late: Raised if it takes longer.
    """
    answers: list[_Answer] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            answers.append(ask())
        except Exception as error:  # raised again by the thread that waits
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        thread.join(seconds)
    finally:
        if thread.is_alive():
            leave_threads()
    if errors:
        raise errors[0]
    if not answers:
        raise late
    return answers[0]


def write(file_system: fs.FileSystem, path: str, data: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    if isinstance(file_system, fs.LocalFileSystem):
        # An object appears when its stream is closed; a file must be renamed.
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_whole(Path(path), data)
        return
    if file_system.type_name not in _OBJECT_STORES:
        file_system.create_dir(path.rpartition("/")[0], recursive=True)
    with file_system.open_output_stream(path) as stream:
        stream.write(data)


def read(file_system: fs.FileSystem, path: str) -> bytes:
    """Return a file's bytes; a link is none.

    Raises:
        OSError: It cannot be read.
    """
    if isinstance(file_system, fs.LocalFileSystem):
        return read_regular(Path(path))
    with file_system.open_input_stream(path) as stream:
        data: bytes = stream.read()
    return data


def files_below(file_system: fs.FileSystem, root: str, *, recursive: bool) -> Iterator[str]:
    """Yield the paths of files relative to a folder, in order; none if it is not there.

    A storage is written by others too: names that would lead out of a folder they are copied to
    are left out, and so is what lies behind a link.
    """
    selector = fs.FileSelector(root, allow_not_found=True, recursive=recursive)
    for info in sorted(file_system.get_file_info(selector), key=lambda info: info.path):
        relative = info.path[len(root) + 1 :]
        is_plain = is_safe(relative) and not is_linked(file_system, root, relative)
        if info.type == fs.FileType.File and is_plain:
            yield relative


def is_linked(file_system: fs.FileSystem, root: str, relative: str) -> bool:
    """Return whether a part of a path below a folder is a symbolic link."""
    if not isinstance(file_system, fs.LocalFileSystem):
        return False
    path = Path(root, relative)
    inside = len(Path(relative).parts)
    return any(part.is_symlink() for part in (path, *path.parents[: inside - 1]))


def is_safe(relative: str) -> bool:
    r"""Return whether each part of a relative path is a plain name.

    >>> is_safe("checkpoints/01/meta.json"), is_safe("../x"), is_safe("a//b"), is_safe("a\\b")
    (True, False, False, False)
    """
    return all(_SAFE_NAME.fullmatch(part) for part in relative.split("/"))


def open_location(location: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of an absolute path or a URI, and the path in it.

    Raises:
        ConfigError: It is neither, or it holds credentials.
    """
    if _CREDENTIALS.match(location):
        raise ConfigError(
            "a URI must hold no credentials; give them as AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, in ~/.aws or by the machine's role"
        )
    try:
        file_system, path = fs.FileSystem.from_uri(location)
    except STORE_ERRORS as error:
        raise ConfigError(broken_rule(location, error)) from error
    return file_system, path.rstrip("/")


def broken_rule(location: str, error: Exception) -> str:
    """Return the message for a location that cannot be used."""
    reason = first_line(error)
    return (
        f"a storage must be an absolute path or a URI that can be written and read: "
        f"{location}: {reason}"
    )
