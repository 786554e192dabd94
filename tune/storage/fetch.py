"""Fetches a run from its storage into the results folder: `--resume s3://bucket/runs/NAME`."""

import tempfile
from pathlib import Path

from pyarrow import fs

from model.errors import ConfigError, first_line
from model.system.filesystem import check_storage, join, open_location, read, split
from tune.records.history import History
from tune.records.run_folder import LEASE_FILE, RunFolder, check_name, is_run_file
from tune.storage.copies import RunExtent, files_of_run


def fetch_run(location: str, results: Path) -> tuple[RunFolder, str]:
    """Fetch a run, unless what is known of it here goes as far or further.

    Args:
        location: Where the run is in its storage.
        results: The folder of results; the run's folder in it is made if it is not there.

    Returns:
        The run's folder, and the storage that the run is in.

    Raises:
        ConfigError: There is no run, a driver runs here, or the run went on here and there.
    """
    storage, name = split(location)
    path = results / check_name(name)
    check_storage(storage)
    try:
        results.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=results, prefix=".fetched-") as temporary:
            fetched = RunFolder(Path(temporary) / name)
            _copy(location, fetched.path)
            if not fetched.study_file.is_file():
                raise ConfigError(f"a run must be a folder with study.json, got {location}")
            _put(fetched, RunFolder(path), location)
    except OSError as error:
        reason = first_line(error)
        raise ConfigError(f"a run must be readable: {location}: {reason}") from error
    return RunFolder.open(path.resolve()), storage


def found_in_storage(storage: str, name: str) -> str | None:
    """Return where a storage has a run of that name, None if it has none."""
    location = join(storage, name)
    file_system, root = open_location(location)
    known = f"{root}/{RunFolder(Path(name)).study_file.name}"
    is_there = file_system.get_file_info(known).type != fs.FileType.NotFound
    return location if is_there else None


def check_new_in_storage(storage: str, name: str) -> None:
    """Refuse the name of a run that a storage has already.

    Raises:
        ConfigError: It has.
    """
    location = found_in_storage(storage, name)
    if location is not None:
        raise ConfigError(
            f"a run must not exist yet in the storage: {location}; choose another --name, or go "
            f"on with --resume {location}"
        )


def _copy(location: str, folder: Path) -> None:
    file_system, root = open_location(location)
    for name in files_of_run(file_system, root):
        if not name.startswith(LEASE_FILE):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(read(file_system, f"{root}/{name}"))


def _check_ours(path: Path) -> None:
    """Refuse a folder that no earlier attempt has left.

    Raises:
        ConfigError: It has a file that no run has.
    """
    names = (str(file.relative_to(path)) for file in path.rglob("*") if not file.is_dir())
    if other := next((name for name in sorted(names) if not is_run_file(name)), None):
        raise ConfigError(
            f"a run must be fetched into a folder of its own, but {path} has {other}; choose "
            f"another --results"
        )


def _put(fetched: RunFolder, folder: RunFolder, location: str) -> None:
    """Make the run's folder what was fetched, if that goes further."""
    folder.check_no_links()
    if folder.history_file.exists():
        with History(folder.history_file):  # no driver may run on it
            there, here = (
                RunExtent.of(fs.LocalFileSystem(), str(run.path)) for run in (fetched, folder)
            )
        if here.has_all_of(there):
            return
        if not there.has_all_of(here):
            raise ConfigError(
                f"a run must continue in one place only, but {folder.path} and {location} each "
                f"have something that the other lacks; remove one of them"
            )
    if not folder.path.exists():
        fetched.path.rename(folder.path)
        return
    if not folder.study_file.exists():
        _check_ours(folder.path)
    folder.drop_checkpoints()
    # What tells how far it has come last: until it is there, the next attempt fetches all again.
    last = (fetched.study_file, *fetched.history_files)
    files = sorted(
        (path for path in fetched.path.rglob("*") if path.is_file()),
        key=lambda path: last.index(path) if path in last else -1,
    )
    for path in files:
        target = folder.path / path.relative_to(fetched.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
