"""How far a run has come, in its folder or in its storage: which of two copies goes on."""

import dataclasses
import json
from pathlib import Path

from pyarrow import fs

from model.system.filesystem import read
from tune.records.history import whole_lines
from tune.records.run_folder import RunFolder


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class HowFar:
    """What a copy of a run knows.

    Attributes:
        histories: The events of the search and of the finalists; a driver only adds to them.
        finished: Whether study.json says that there is nothing left to do.
    """

    histories: tuple[bytes, ...]
    finished: bool

    @classmethod
    def of(cls, file_system: fs.FileSystem, path: str) -> "HowFar":
        """Return how far the copy in a folder has come.

        Raises:
            OSError: It cannot be read.
        """
        folder = RunFolder(Path())

        def content(file: Path) -> bytes:
            name = f"{path}/{file.name}"
            is_there = file_system.get_file_info(name).type != fs.FileType.NotFound
            return read(file_system, name) if is_there else b""

        return cls(
            histories=tuple(whole_lines(content(file)) for file in folder.history_files),
            finished=_is_finished(content(folder.study_file)),
        )

    def has_all_of(self, other: "HowFar") -> bool:
        """Return whether the other copy has nothing that this one has not."""
        if self.histories == other.histories:
            return self.finished or not other.finished
        pairs = zip(self.histories, other.histories, strict=True)
        return all(ours.startswith(theirs) for ours, theirs in pairs)


def _is_finished(study: bytes) -> bool:
    try:
        values = json.loads(study)
    except ValueError:  # none yet, or damaged
        return False
    return isinstance(values, dict) and values.get("finished") is True
