"""Fetches a run from its storage into the results folder: `--resume s3://bucket/runs/NAME`."""

import shutil
import tempfile
from pathlib import Path

from model.errors import ConfigError
from tune.history import History
from tune.lease import FILE as LEASE_FILE
from tune.mirror import CHECKPOINTS, whole_lines
from tune.run_folder import RunFolder
from tune.storage import check_name, check_storage, files_below, open_place, read, split


def fetch_run(place: str, results: Path) -> tuple[RunFolder, str]:
    """Fetch a run, unless what is known of it here goes as far or further.

    Args:
        place: Where the run is in its storage.
        results: The folder of results; the run's folder in it is made if it is not there.

    Returns:
        The run's folder, and the storage that the run is in.

    Raises:
        ConfigError: There is no run, a driver runs here, or the run went on here and there.
    """
    storage, name = split(place)
    path = results / check_name(name)
    check_storage(storage)
    try:
        with tempfile.TemporaryDirectory() as temporary:
            fetched = RunFolder(Path(temporary) / name)
            _copy(place, fetched.path)
            if not fetched.study_file.is_file():
                raise ConfigError(f"a run must be a folder with study.json, got {place}")
            _put(fetched, RunFolder(path), place)
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"a run must be readable: {place}: {reason}") from error
    return RunFolder.open(path.resolve()), storage


def _copy(place: str, folder: Path) -> None:
    file_system, root = open_place(place)
    for names, recursive in (((), False), ((CHECKPOINTS,), True)):
        source = "/".join([root, *names])
        for relative in files_below(file_system, source, recursive=recursive):
            if relative.startswith(LEASE_FILE):
                continue
            target = folder.joinpath(*names, relative)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(read(file_system, f"{source}/{relative}"))


def _put(fetched: RunFolder, folder: RunFolder, place: str) -> None:
    """Make the run's folder what was fetched, if that goes further."""
    if folder.history_file.exists():
        with History(folder.history_file):  # no driver may run on it
            there, here = (
                whole_lines(run.history_file.read_bytes()) if run.history_file.exists() else b""
                for run in (fetched, folder)
            )
        if here.startswith(there):
            return
        if not there.startswith(here):
            raise ConfigError(
                f"a run must go on in one place, but {folder.path} and {place} each have what "
                f"the other has not; remove one of them"
            )
    folder.drop_checkpoints()
    shutil.copytree(fetched.path, folder.path, dirs_exist_ok=True)


