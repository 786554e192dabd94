"""The trials' checkpoints in a run's storage: listed, fetched, kept and removed.

Ray writes them, in one folder per session of a run:
<storage>/session-1/trial_00007/checkpoint_000003/checkpoint/meta.json
A trial that was promoted within its session has a second folder, trial_00007-2.
"""

import contextlib
import dataclasses
import functools
import re
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from pyarrow import fs

from model.config import TrialConfig
from model.errors import CheckpointError, ExternalFault, first_line
from model.system.files import in_place_of, readable_folder
from model.system.filesystem import files_below, is_linked, join, open_location, read
from model.training.checkpoint import (
    META_FILE,
    copy_model,
    load_checkpoint,
    load_training_state,
    read_meta,
)

SESSION = "session-"
MODEL_FOLDER = "checkpoint"
"""The project's own checkpoint folder inside Ray's."""
RAY_FOLDER = "checkpoint_"
"""Prefix of Ray's checkpoint folders; an increasing number follows."""
_PATH = re.compile(
    rf"{SESSION}(?P<session>\d+)/trial_(?P<number>\d+)(-(?P<part>\d+))?/"
    rf"{RAY_FOLDER}(?P<index>\d+)/"
    rf"{MODEL_FOLDER}/{re.escape(META_FILE)}"
)
KEPT_CHECKPOINTS = 5


@dataclasses.dataclass(frozen=True, slots=True)
class CheckpointStore:
    """The checkpoints of one run.

    Attributes:
        root: Absolute path or URI of the run's storage.
    """

    root: str

    def next_session(self) -> str:
        """Return the name of the next session's folder.

        Raises:
            ExternalFault: The storage does not answer.
        """
        found = (re.fullmatch(rf"{SESSION}(\d+)", name) for name in self._paths(recursive=False))
        last = max((int(match[1]) for match in found if match), default=0)
        return f"{SESSION}{last + 1}"

    def newest_first(self) -> dict[int, list[str]]:
        """Return each trial's checkpoints: trial number to locations, newest first.

        Raises:
            ExternalFault: The storage does not answer.
        """
        return self._newest_first(self._paths(recursive=True))

    def of_trial(self, number: int) -> list[str]:
        """Return one trial's checkpoints, newest first, without listing others'.

        Raises:
            ExternalFault: The storage does not answer.
        """
        name = re.compile(rf"{SESSION}\d+/trial_0*{number}(-\d+)?")
        sessions = (path for path in self._paths(recursive=False) if path.startswith(SESSION))
        trials = (path for each in sessions for path in self._paths(each, recursive=False))
        paths = [
            path
            for each in trials
            if name.fullmatch(each)
            for path in self._paths(each, recursive=True)
        ]
        return self._newest_first(paths).get(number, [])

    def _newest_first(self, paths: Iterable[str]) -> dict[int, list[str]]:
        found: dict[int, list[tuple[int, int, int, str]]] = {}
        for match in filter(None, map(_PATH.fullmatch, paths)):
            place = int(match["session"]), int(match["part"] or 1), int(match["index"])
            entry = (*place, match[0].rpartition("/")[0])
            found.setdefault(int(match["number"]), []).append(entry)
        return {
            number: [join(self.root, path) for *_, path in sorted(entries)[::-1]]
            for number, entries in found.items()
        }

    def _paths(self, below: str = "", *, recursive: bool) -> list[str]:
        """Return the paths below a folder, relative to the root."""
        file_system, root = open_location(self.root)
        folder = f"{root}/{below}" if below else root
        selector = fs.FileSelector(folder, allow_not_found=True, recursive=recursive)
        try:
            found = file_system.get_file_info(selector)
        except OSError as error:
            raise unreadable(error) from error
        paths = (info.path[len(root) + 1 :] for info in found)
        return [path for path in paths if not is_linked(file_system, root, path)]


def unreadable(error: OSError) -> ExternalFault:
    """Return the fault that ends a search whose checkpoints cannot be read."""
    return ExternalFault(f"the trials' checkpoints must be readable: {first_line(error)}")


@dataclasses.dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """One of the project's own checkpoint folders: its file system and its path there."""

    file_system: fs.FileSystem
    path: str


def stored_checkpoint(location: str) -> StoredCheckpoint:
    """Return the checkpoint at one of `newest_first`'s locations."""
    return StoredCheckpoint(*open_location(location))


def beside(file_system: fs.FileSystem, newest: str) -> list[StoredCheckpoint]:
    """Return a trial's checkpoints of one session, newest first.

    Args:
        file_system: Where they are.
        newest: One of Ray's checkpoint folders; it may no longer exist.
    """
    folder = newest.rstrip("/").rpartition("/")[0]
    found = file_system.get_file_info(fs.FileSelector(folder, allow_not_found=True))
    paths = [info.path for info in found if info.base_name.startswith(RAY_FOLDER)]
    return [
        StoredCheckpoint(file_system, f"{path}/{MODEL_FOLDER}") for path in sorted(paths)[::-1]
    ]


def drop_older(file_system: fs.FileSystem, trial_folder: str, *, keep: int = 1) -> None:
    """Remove all but the newest checkpoints of a trial's folder, as far as possible."""
    with contextlib.suppress(OSError):
        drop(beside(file_system, f"{trial_folder}/{RAY_FOLDER}")[keep:])


def drop(stored_newest_first: Iterable[StoredCheckpoint]) -> None:
    """Remove checkpoints, each with Ray's folder around it, as far as possible."""
    for stored in stored_newest_first:
        with contextlib.suppress(OSError):
            stored.file_system.delete_dir(stored.path.rpartition("/")[0])


def fetch(stored: StoredCheckpoint | str, folder: Path) -> Path:
    """Copy a checkpoint into a new local folder and return that folder.

    Raises:
        OSError: It cannot be read.
    """
    if isinstance(stored, str):
        stored = stored_checkpoint(stored)
    folder.mkdir(parents=True)
    for name in files_below(stored.file_system, stored.path, recursive=False):
        (folder / name).write_bytes(read(stored.file_system, f"{stored.path}/{name}"))
    return folder


def keep_checkpoints(
    kept: Path,
    best: Mapping[int, TrialConfig],
    store: CheckpointStore,
    *,
    ended: Collection[int],
    may_delete: Callable[[], bool] = lambda: True,
) -> list[int]:
    """Copy the networks of the best trials, and remove ended trials' older checkpoints.

    Args:
        kept: The folder for the networks, by rank. What an earlier session kept there stays until
            it has been copied or something better is complete.
        best: Trial number to configuration, best first.
        store: Where their checkpoints are.
        ended: The trials that will not continue. Nothing of the others is removed.
        may_delete: Returns whether anything may be removed.

    Returns:
        The trials whose networks are missing or damaged; the next trial took their rank.

    Raises:
        ExternalFault: The storage does not answer.
    """
    locations = store.newest_first()
    earlier = _kept_before(readable_folder(kept))
    gone: list[int] = []
    with in_place_of(kept) as folder:
        rank = 1
        for number, config in best.items():
            copy = functools.partial(copy_model, target=folder / f"{rank:02d}")
            if rank > KEPT_CHECKPOINTS:
                break
            is_stored = number in locations and _serves(locations[number][0], copy)
            if is_stored or _copied(earlier.get(config), copy):
                rank += 1
            else:
                gone.append(number)
    for number, (newest, *older) in locations.items():
        if number in ended and older and _is_whole(newest) and may_delete():
            drop(stored_checkpoint(location) for location in older)
    return gone


def _kept_before(kept: Path) -> dict[TrialConfig, Path]:
    """Return the kept networks by configuration, which is unique because of the trial's seed."""
    found = {}
    for path in sorted(kept.glob("[0-9][0-9]")):
        with contextlib.suppress(CheckpointError):
            found[read_meta(path).config] = path
    return found


def _copied(path: Path | None, copy: Callable[[Path], None]) -> bool:
    if path is not None:
        with contextlib.suppress(CheckpointError):
            copy(path)
            return True
    return False


def _is_whole(location: str) -> bool:
    """Return whether a trial could continue from a checkpoint; compares checksums."""

    def load(folder: Path) -> None:
        load_checkpoint(folder)
        load_training_state(folder)

    return _serves(location, load)


def _serves(location: str, use: Callable[[Path], None]) -> bool:
    """Use a local copy of a checkpoint; return whether it existed and was undamaged.

    Raises:
        ExternalFault: The storage does not answer.
    """
    with tempfile.TemporaryDirectory() as temporary:
        try:
            folder = fetch(location, Path(temporary) / MODEL_FOLDER)
        except FileNotFoundError:  # removed in the meantime
            return False
        except OSError as error:
            raise unreadable(error) from error
        try:
            use(folder)
        except CheckpointError:
            return False
    return True
