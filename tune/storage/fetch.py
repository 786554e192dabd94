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
    """Fetch a run, unless the local copy is at least as advanced.

    Args:
        location: The run's location in its storage.
        results: The results folder; the run's folder in it is created if needed.

    Returns:
        The run's folder, and the run's storage.

    Raises:
        ConfigError: There is no run, a driver runs here, or the run continued in both places.
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
    """Return where a storage has a run of that name; None if it has none."""
    location = join(storage, name)
    file_system, root = open_location(location)
    known = f"{root}/{RunFolder(Path(name)).study_file.name}"
    is_there = file_system.get_file_info(known).type != fs.FileType.NotFound
    return location if is_there else None


def check_new_in_storage(storage: str, name: str) -> None:
    """Refuse a run name that exists in the storage.

    Raises:
        ConfigError: It exists.
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
    """Refuse a folder that no earlier attempt can have left.

    Raises:
        ConfigError: It has a file that does not belong to a run.
    """
    names = (str(file.relative_to(path)) for file in path.rglob("*") if not file.is_dir())
    if other := next((name for name in sorted(names) if not is_run_file(name)), None):
        raise ConfigError(
            f"a run must be fetched into a folder of its own, but {path} has {other}; choose "
            f"another --results"
        )


def _put(fetched: RunFolder, folder: RunFolder, location: str) -> None:
    """Replace the run's folder with the fetched one, if that is more advanced."""
    folder.check_no_links()
    if folder.history_file.exists():
        with History(folder.history_file):  # no driver may be using it
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
    # study.json and histories last: until they are there, the next attempt fetches all again.
    last = (fetched.study_file, *fetched.history_files)
    files = sorted(
        (path for path in fetched.path.rglob("*") if path.is_file()),
        key=lambda path: last.index(path) if path in last else -1,
    )
    for path in files:
        target = folder.path / path.relative_to(fetched.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
