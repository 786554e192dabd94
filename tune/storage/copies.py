"""How far a run has advanced in its folder and in its storage: which copy to continue."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyarrow import fs

from model.system.filesystem import files_below, is_linked, read
from model.system.json_schema import parsed
from tune.records.history import whole_lines
from tune.records.run_folder import NETWORK_FOLDERS, RunFolder, is_run_file


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RunExtent:
    """What a copy of a run contains.

    Attributes:
        histories: The events of the search and of the finalists; a driver only appends to them.
        finished: Whether study.json says that nothing is left to do.
    """

    histories: tuple[bytes, ...]
    finished: bool

    @classmethod
    def of(cls, file_system: fs.FileSystem, path: str) -> "RunExtent":
        """Return how far the copy in a folder has advanced.

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

    def has_all_of(self, other: "RunExtent") -> bool:
        """Return whether the other copy has nothing that this one lacks."""
        if self.histories == other.histories:
            return self.finished or not other.finished
        pairs = zip(self.histories, other.histories, strict=True)
        return all(ours.startswith(theirs) for ours, theirs in pairs)


def _is_finished(study: bytes) -> bool:
    try:
        values = parsed(study, dict[str, Any], "study.json")
    except ValueError:  # missing or damaged
        return False
    return values.get("finished") is True


def files_of_run(file_system: fs.FileSystem, root: str) -> Iterator[str]:
    """Yield the names of a run's files below a folder: only ours, and none behind a link."""
    for folder in NETWORK_FOLDERS:
        if not is_linked(file_system, root, folder):
            below = files_below(file_system, f"{root}/{folder}", recursive=True)
            yield from filter(is_run_file, (f"{folder}/{name}" for name in below))
    yield from filter(is_run_file, files_below(file_system, root, recursive=False))
