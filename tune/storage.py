"""Places that all machines of a search see: a folder, NFS, s3://, by pyarrow's file systems."""

import re
from collections.abc import Iterator

from pyarrow import fs

from model.system.filesystem import (
    files_below,
    is_safe,
)
from tune.records.run_folder import TENSORBOARD

_NOT_COPIED = re.compile(rf"session-\d+|finalists|{TENSORBOARD}")


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
