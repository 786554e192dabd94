"""Where the trials' checkpoints lie in a run's storage, and how to get at one.

Ray keeps them, each session of a run in a folder of its own:
<storage>/session-1/trial_00007/checkpoint_000003/checkpoint/meta.json
"""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

from pyarrow import fs

from model.checkpoint import META_FILE
from model.places import open_place
from tune.storage import files_below, join, read

SESSION = "session-"
MODEL_FOLDER = "checkpoint"
"""The project's own checkpoint folder in one of Ray's."""

_PATH = re.compile(
    rf"{SESSION}(?P<session>\d+)/trial_(?P<number>\d+)/checkpoint_(?P<index>\d+)/"
    rf"{MODEL_FOLDER}/{re.escape(META_FILE)}"
)


@dataclasses.dataclass(frozen=True, slots=True)
class CheckpointStore:
    """The checkpoints of one run.

    Attributes:
        root: Absolute path or URI of the run's storage.
    """

    root: str

    def next_session(self) -> str:
        """Return the name of the folder of the session to come."""
        sessions = [path.split("/")[0] for path in self._paths(recursive=False)]
        numbers = [int(name[len(SESSION) :]) for name in sessions if name.startswith(SESSION)]
        return f"{SESSION}{max(numbers, default=0) + 1}"

    def newest_first(self) -> dict[int, list[str]]:
        """Return each trial's checkpoints: trial number to locations, the newest first."""
        found: dict[int, list[tuple[int, int, str]]] = {}
        for path in self._paths(recursive=True):
            match = _PATH.fullmatch(path)
            if match:
                number = int(match["number"])
                entry = (int(match["session"]), int(match["index"]), path.rpartition("/")[0])
                found.setdefault(number, []).append(entry)
        return {
            number: [join(self.root, path) for *_, path in sorted(entries)[::-1]]
            for number, entries in found.items()
        }

    def drop_superseded(self, locations: Mapping[int, list[str]]) -> None:
        """Remove all but the newest of each trial's checkpoints.

        Args:
            locations: What `newest_first` gave.
        """
        for superseded in (older for _, *rest in locations.values() for older in rest):
            file_system, path = open_place(superseded)
            file_system.delete_dir(path.rpartition("/")[0])

    def _paths(self, *, recursive: bool) -> list[str]:
        file_system, root = open_place(self.root)
        selector = fs.FileSelector(root, allow_not_found=True, recursive=recursive)
        return [info.path[len(root) + 1 :] for info in file_system.get_file_info(selector)]


def fetch(location: str, folder: Path) -> Path:
    """Copy a checkpoint into a new local folder of that name and return the folder.

    Raises:
        OSError: It cannot be read.
    """
    file_system, path = open_place(location)
    folder.mkdir(parents=True)
    for name in files_below(file_system, path, recursive=False):
        (folder / name).write_bytes(read(file_system, f"{path}/{name}"))
    return folder
