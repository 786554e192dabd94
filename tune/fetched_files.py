"""Fetches the small files of a run that lies in a storage, to read them here."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from pyarrow import fs

from model.errors import ConfigError
from model.system.filesystem import STORE_ERRORS, broken_rule, is_uri, open_place, read, split
from tune.run_folder import RunFolder


@contextlib.contextmanager
def local_folder(
    run: str | Path, files: Callable[[RunFolder], tuple[Path, ...]]
) -> Iterator[RunFolder]:
    """Give a run's folder; of one that is no folder here, some of its files are fetched.

    Args:
        run: The folder, or a URI that pyarrow reads.
        files: Returns the files that are to be there; all but study.json may be missing. Their
            times of modification are those in the storage.

    Raises:
        ConfigError: It is no run of ours, or cannot be reached.
    """
    location = str(run)
    if not is_uri(location):
        yield RunFolder.open(Path(run).expanduser().resolve())
        return
    file_system, root = open_place(location)
    if isinstance(file_system, fs.LocalFileSystem):
        yield RunFolder.open(Path(root))
        return
    _, name = split(location)
    with tempfile.TemporaryDirectory() as temporary:
        folder = RunFolder(Path(temporary) / name)
        folder.path.mkdir()
        try:
            for path in files(folder):
                _fetch(file_system, f"{root}/{path.name}", path)
        except STORE_ERRORS as error:
            raise ConfigError(broken_rule(location, error)) from error
        if not folder.study_file.is_file():
            raise ConfigError(f"a run must be a folder with study.json, got {location}")
        yield folder


def _fetch(file_system: fs.FileSystem, source: str, path: Path) -> None:
    info = file_system.get_file_info(source)
    if info.type != fs.FileType.File:
        return
    path.write_bytes(read(file_system, source))
    if info.mtime_ns is not None:
        os.utime(path, ns=(info.mtime_ns, info.mtime_ns))
