"""Where a run's files lie: its tables, its reports and its histories."""

import dataclasses
import json
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from model.errors import ConfigError, unknown_choice
from model.system.files import write_text
from model.system.filesystem import is_safe
from tune.records.finalist_table import FinalistRecord, read_finalists, write_finalists
from tune.records.study_file import StudyFile
from tune.records.tables import (
    EPOCH_DTYPES,
    TRIAL_DTYPES,
    Table,
    counted_epochs,
    epochs_frame,
    read_table,
    trials_frame,
    write_table,
)
from tune.records.trial import TrialRecord

CHECKPOINTS = "checkpoints"
CORPUS_FILE = "corpus.txt"
"""A run's text in its storage, so that another machine has it."""
LEASE_FILE = "driver.json"
"""Which driver has the run, in its storage."""
MAX_NAME_CHARS = 100
TENSORBOARD = "tensorboard"
"""TensorBoard's folder in a run's; it stays on its machine, but earlier versions copied it."""


@dataclasses.dataclass(frozen=True, slots=True)
class RunFolder:
    """One run's folder."""

    path: Path

    @property
    def study_file(self) -> Path:
        """What the search was: space, corpus, objective, versions."""
        return self.path / "study.json"

    @property
    def trials_file(self) -> Path:
        """One row a trial."""
        return self.path / "trials.csv"

    @property
    def epochs_file(self) -> Path:
        """One row a trial and epoch."""
        return self.path / "epochs.csv"

    @property
    def best_file(self) -> Path:
        """The winner's configuration."""
        return self.path / "best.json"

    @property
    def report_file(self) -> Path:
        """The report."""
        return self.path / "report.md"

    @property
    def page_file(self) -> Path:
        """The report as a page with pictures."""
        return self.path / "report.html"

    @property
    def samples_file(self) -> Path:
        """What the best checkpoints write."""
        return self.path / "samples.md"

    @property
    def samples_data_file(self) -> Path:
        """The same as data."""
        return self.path / "samples.json"

    @property
    def quality_file(self) -> Path:
        """The figures of what the best checkpoints write."""
        return self.path / "quality.csv"

    @property
    def optuna_file(self) -> Path:
        """Optuna's study, a journal."""
        return self.path / "optuna.journal"

    @property
    def history_file(self) -> Path:
        """Every event of the search; the tables are made from it."""
        return self.path / "history.jsonl"

    @property
    def finalists_file(self) -> Path:
        """One row a training of a finalist."""
        return self.path / "finalists.csv"

    @property
    def finalists_history_file(self) -> Path:
        """Every event of the finalists' trainings."""
        return self.path / "finalists.jsonl"

    @property
    def history_files(self) -> tuple[Path, ...]:
        """The events of the search and of the finalists: what is done, and only grows."""
        return self.history_file, self.finalists_history_file

    @property
    def tensorboard_folder(self) -> Path:
        """The trials' curves as TensorBoard reads them, one folder each."""
        return self.path / TENSORBOARD

    @property
    def ray_folder(self) -> Path:
        """Ray's experiment states and the trials' checkpoints, unless kept elsewhere."""
        return self.path / "ray"

    @property
    def record_files(self) -> tuple[Path, ...]:
        """The files that a run is read from; all but study.json may be missing."""
        tables = self.trials_file, self.epochs_file, self.finalists_file, self.quality_file
        return self.study_file, *tables, self.samples_data_file

    @property
    def live_files(self) -> tuple[Path, ...]:
        """The files that tell where a run stands, a driver's lease of its storage among them."""
        return self.study_file, *self.history_files, self.path / LEASE_FILE

    @classmethod
    def create(cls, path: Path, study: StudyFile | None = None) -> "RunFolder":
        """Make a new run folder; it appears with its study.json, if one is given, or not at all.

        Raises:
            ConfigError: It exists already, or cannot be made.
        """
        check_new(path)
        partial = cls(path.with_name(f".{path.name}.{os.getpid()}.partial"))
        try:
            partial.path.mkdir(parents=True)
            if study is not None:
                partial.write_study(study)
            partial.path.rename(path)
        except OSError as error:
            shutil.rmtree(partial.path, ignore_errors=True)
            raise ConfigError(f"the run folder must be writable: {path}: {error}") from error
        return cls(path.resolve())

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """Open the folder of an earlier run.

        Raises:
            ConfigError: The folder is missing or is no run of ours.
        """
        folder = cls(path)
        if not folder.study_file.is_file():
            raise ConfigError(f"a run must be a folder with study.json, got {path}")
        return folder

    def checkpoint(self, rank: int) -> Path:
        """Return the folder of the checkpoint of a rank; the best is 1."""
        return self.path / CHECKPOINTS / f"{rank:02d}"

    def checkpoints(self) -> list[Path]:
        """Return the folders of the kept checkpoints, best first."""
        return sorted((self.path / CHECKPOINTS).glob("[0-9][0-9]"))

    def write_study(self, study: StudyFile) -> None:
        """Write study.json."""
        self._write_json(self.study_file, study.to_json())

    def read_study(self) -> StudyFile:
        """Read study.json.

        Raises:
            ConfigError: It is damaged or of a newer format.
        """
        try:
            values = json.loads(self.study_file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ConfigError(f"study.json must be readable: {self.path}: {error!r}") from error
        try:
            return StudyFile.from_json(values)
        except ConfigError as error:
            raise ConfigError(f"{self.path}: {error}") from error

    def write_tables(self, records: list[TrialRecord]) -> tuple[Table, Table]:
        """Write epochs.csv, then trials.csv: what a reader of the latter sees counted is there.

        Returns:
            The frames of trials and of epochs.
        """
        trials, epochs = trials_frame(records), epochs_frame(records)
        write_table(epochs, self.epochs_file)
        write_table(trials, self.trials_file)
        return trials, epochs

    def read_tables(self) -> tuple[Table, Table]:
        """Return the frames of trials.csv and epochs.csv, of one moment also while they change.

        Raises:
            ConfigError: A table is missing or has other columns.
        """
        trials = read_table(self.trials_file, TRIAL_DTYPES)
        return trials, counted_epochs(trials, read_table(self.epochs_file, EPOCH_DTYPES))

    def write_finalists(self, finalists: Iterable[FinalistRecord]) -> None:
        """Write finalists.csv."""
        write_finalists(finalists, self.finalists_file)

    def read_finalists(self) -> Table:
        """Return finalists.csv; without the file, no rows.

        Raises:
            ConfigError: It is damaged.
        """
        return read_finalists(self.finalists_file)

    def write_best(self, config: dict[str, Any]) -> None:
        """Write best.json, the winner's configuration."""
        self._write_json(self.best_file, config)

    def drop_checkpoints(self) -> None:
        """Remove the kept checkpoints: a resumed search ranks anew."""
        shutil.rmtree(self.path / CHECKPOINTS, ignore_errors=True)

    @staticmethod
    def _write_json(path: Path, values: dict[str, Any]) -> None:
        write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def find_run(run: str, results: Path) -> RunFolder:
    """Open a run by its folder, or by its name in the results folder.

    Raises:
        ConfigError: Neither is a run of ours.
    """
    path = Path(run).expanduser()
    if not path.is_dir():
        parent = results if path.name == run else path.parent
        path = parent / path.name
        names = [study.parent.name for study in sorted(parent.glob("*/study.json"))]
        if names and not path.is_dir():
            raise ConfigError(unknown_choice(f"run in {parent}", path.name, names))
    return RunFolder.open(path.resolve())


def default_name(space_name: str) -> str:
    """Return the name of a run whose user names none: space and local time."""
    return f"{space_name}-{time.strftime('%Y%m%d-%H%M%S')}"


def check_new(path: Path) -> None:
    """Refuse a run folder that exists, or that cannot be made.

    Raises:
        ConfigError: The rule that it breaks.
    """
    if path.exists():
        raise ConfigError(f"a run folder must not exist yet: {path}; choose another --name")
    parent = existing_parent(path)
    if not parent.is_dir():
        raise ConfigError(f"the results folder must be a folder, got the file {parent}")
    if not os.access(parent, os.W_OK):
        raise ConfigError(f"the results folder must be writable, got {parent}")


def existing_parent(path: Path) -> Path:
    """Return the nearest folder above a path that is there."""
    parent = path.absolute().parent
    while not parent.exists():
        parent = parent.parent
    return parent


def check_name(name: str) -> str:
    """Return a run's name if it is safe as a folder, in a URI and on a terminal.

    >>> check_name("full-20261124")
    'full-20261124'

    Raises:
        ConfigError: It is not.
    """
    if "/" in name or not is_safe(name) or len(name) > MAX_NAME_CHARS:
        raise ConfigError(
            f"a run's name must be a folder's name of at most {MAX_NAME_CHARS} letters, digits, "
            f"dots, dashes and underscores, not starting with a dot or dash, got {name!r}"
        )
    return name
