"""Places that all machines of a search see: a folder, NFS, s3://, by pyarrow's file systems."""

import re
from collections.abc import Iterator

from pyarrow import fs

from model.errors import ConfigError
from model.system.filesystem import (
    _SAFE_NAME,
    files_below,
    is_safe,
)

MAX_NAME_CHARS = 100
TENSORBOARD = "tensorboard"
"""TensorBoard's folder in a run's; it stays on its machine, but earlier versions copied it."""
_NOT_COPIED = re.compile(rf"session-\d+|finalists|{TENSORBOARD}")


def check_name(name: str) -> str:
    """Return a run's name if it is safe as a folder, in a URI and on a terminal.

    >>> check_name("full-20261124")
    'full-20261124'

    Raises:
        ConfigError: It is not.
    """
    if not _SAFE_NAME.fullmatch(name) or len(name) > MAX_NAME_CHARS:
        raise ConfigError(
            f"a run's name must be a folder's name of at most {MAX_NAME_CHARS} letters, digits, "
            f"dots, dashes and underscores, not starting with a dot or dash, got {name!r}"
        )
    return name


def files_of_run(file_system: fs.FileSystem, root: str) -> Iterator[str]:
    """Yield the files of a run's folder in its storage; Ray's and TensorBoard's are left out."""
    yield from files_below(file_system, root, recursive=False)
    selector = fs.FileSelector(root, allow_not_found=True)
    for info in file_system.get_file_info(selector):
        name = info.path[len(root) + 1 :]
        if (
            info.type == fs.FileType.Directory
            and is_safe(name)
            and not _NOT_COPIED.fullmatch(name)
        ):
            for below in files_below(file_system, f"{root}/{name}", recursive=True):
                yield f"{name}/{below}"
