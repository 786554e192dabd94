"""Where a run's files lie: its tables, its reports and its histories."""

import dataclasses
import os
import re
import secrets
import shutil
import time
from pathlib import Path

from model.errors import ConfigError, unknown_choice
from model.system.files import (
    check_no_links,
    check_utf8,
    expanded,
    readable_folder,
    remove_replaceable,
    resolved,
)
from model.system.filesystem import is_safe, is_uri
from model.text.corpus import Corpus
from model.text.known_text import known_text
from tune.records.json_file import read_json, write_json
from tune.records.study_file import StudyFile
from tune.records.tables import (
    EPOCH_TABLE,
    TRIAL_TABLE,
    Table,
    counted_epochs,
    epochs_frame,
    trials_frame,
    write_table,
)
from tune.records.trial import TrialRecord

CHECKPOINTS = "checkpoints"
PREDICTOR_FOLDER = "predictor"
NETWORK_FOLDERS = (CHECKPOINTS, PREDICTOR_FOLDER)
"""Folders of a run that hold networks, and are replaced whole."""
CORPUS_FILE = "corpus.txt"
"""A run's text in its storage, so that another machine has it."""
LEASE_FILE = "driver.json"
"""Which driver has the run, in its storage."""
MAX_NAME_CHARS = 100
_SPACE_CHARS = 60
"""Of a space's name in a run's: time and number take 23 more."""


class _Inside:
    """Path of a file or folder in a run's folder."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, folder: "RunFolder", kind: type | None = None) -> Path:
        return folder.path / self.name


@dataclasses.dataclass(frozen=True, slots=True)
class RunFolder:
    """One run's folder; results/README.md says what each file holds."""

    path: Path

    study_file = _Inside("study.json")
    trials_file = _Inside("trials.csv")
    epochs_file = _Inside("epochs.csv")
    best_file = _Inside("best.json")
    report_file = _Inside("report.md")
    page_file = _Inside("report.html")
    samples_file = _Inside("samples.md")
    samples_data_file = _Inside("samples.json")
    quality_file = _Inside("quality.csv")
    orders_file = _Inside("orders.csv")
    energy_file = _Inside("energy.json")
    optuna_file = _Inside("optuna.journal")
    history_file = _Inside("history.jsonl")
    finalists_file = _Inside("finalists.csv")
    finalists_history_file = _Inside("finalists.jsonl")
    predictor_file = _Inside("predictor.csv")
    predictor = _Inside(PREDICTOR_FOLDER)
    tensorboard_folder = _Inside("tensorboard")  # not copied to a storage
    ray_folder = _Inside("ray")  # in the storage where there is one

    @property
    def history_files(self) -> tuple[Path, ...]:
        """The events of the search and of the finalists: what is done, and only grows."""
        return self.history_file, self.finalists_history_file

    @property
    def record_files(self) -> tuple[Path, ...]:
        """The files that a run is read from; all but study.json may be missing."""
        tables = self.trials_file, self.epochs_file, self.finalists_file, self.quality_file
        later = self.orders_file, self.predictor_file, self.samples_data_file
        return self.study_file, *tables, *later, self.energy_file

    @property
    def live_files(self) -> tuple[Path, ...]:
        """Files with the state of a run; the driver's lease, which it gives back last, first."""
        tables = self.orders_file, self.predictor_file
        return self.path / LEASE_FILE, self.study_file, *self.history_files, *tables

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
        check_utf8(path)
        folder = cls(path)
        if not folder.study_file.is_file():
            raise ConfigError(f"a run must be a folder with study.json, got {path}")
        folder.check_no_links()
        return folder

    def check_no_links(self) -> None:
        """Refuse a folder in which a name of ours is a link: we would read and write elsewhere.

        Raises:
            ConfigError: It has one.
        """
        named = [self.path / name for name in NETWORK_FOLDERS]
        kept = [*named, *map(readable_folder, named)]
        inside = [
            Path(at, name)
            for each in kept
            if not each.is_symlink()
            for at, folders, files in os.walk(each)  # passes over what is replaced meanwhile
            for name in (*folders, *files)
        ]
        try:
            check_no_links([*kept, *inside, *(self.path / name for name in _NAMES)])
        except OSError as error:
            rule = "a run must hold its files itself, no links or pipes"
            raise ConfigError(f"{rule}, got {error.filename}") from error

    def checkpoint(self, rank: int) -> Path:
        """Return the folder of the checkpoint of a rank; the best is 1."""
        return self.path / CHECKPOINTS / f"{rank:02d}"

    def checkpoints(self) -> list[Path]:
        """Return the folders of the kept checkpoints, best first."""
        return sorted(readable_folder(self.path / CHECKPOINTS).glob("[0-9][0-9]"))

    def writers(self) -> list[tuple[int, Path]]:
        """Return what writes text, best first: the predictor, 0, then the checkpoints by rank."""
        kept = [*enumerate(self.checkpoints(), start=1)]
        return [(0, self.predictor), *kept] if readable_folder(self.predictor).is_dir() else kept

    def write_study(self, study: StudyFile) -> None:
        """Write study.json."""
        write_json(study.to_json(), self.study_file)

    def read_study(self) -> StudyFile:
        """Read study.json.

        Raises:
            ConfigError: It is missing, damaged or of a newer format.
        """
        study = read_json(self.study_file, StudyFile, "study.json")
        if study is None:
            raise ConfigError(f"a run must be a folder with study.json, got {self.path}")
        return study

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
            ConfigError: A table is missing, has other columns, or lacks what the other has.
        """
        trials, epochs = TRIAL_TABLE.read(self.trials_file), EPOCH_TABLE.read(self.epochs_file)
        epochs["report"] = epochs["report"].fillna(epochs["epoch"])
        counted = counted_epochs(trials, epochs)
        measured = trials.loc[trials["val_bits_per_char"].notna(), "number"]
        if not measured.isin(counted["number"]).all():
            raise ConfigError(f"each trial with a score must have an epoch, got {self.path}")
        return trials, counted

    def drop_checkpoints(self) -> None:
        """Remove the kept networks: a resumed search ranks its trials again."""
        remove_replaceable(self.path / CHECKPOINTS)
        self.drop_predictor()

    def drop_predictor(self) -> None:
        """Remove the predictor and its table."""
        remove_replaceable(self.predictor)
        for suffix in (".csv", ".parquet"):
            self.predictor_file.with_suffix(suffix).unlink(missing_ok=True)


_NAMES = (
    *(each.name for each in vars(RunFolder).values() if isinstance(each, _Inside)),
    *(CORPUS_FILE, LEASE_FILE),
)
_KEPT = re.compile(rf"({CHECKPOINTS}/\d\d|{PREDICTOR_FOLDER}(/\d\d)?)/[^/]+")


def is_run_file(relative: str) -> bool:
    """Return whether a run's folder has a file of that name; others are not copied.

    >>> is_run_file("trials.parquet"), is_run_file("checkpoints/01/meta.json"), is_run_file("x.py")
    (True, True, False)
    """
    known = relative in _NAMES or relative.replace(".parquet", ".csv") in _NAMES
    return known or _KEPT.fullmatch(relative) is not None


def text_of_run(study: StudyFile, folder: RunFolder) -> Corpus:
    """Find the text of a run.

    Raises:
        CorpusError: It cannot be had without asking a server, or has changed.
    """
    corpus = study.corpus
    return known_text(
        corpus.location or corpus.name,
        sha256=corpus.sha256,
        num_chars=corpus.num_chars,
        copies=[folder.path / CORPUS_FILE],
        reading=study.settings.reading,
    )


def find_run(run: str, results: Path) -> RunFolder:
    """Open a run by its folder, or by its name in the results folder.

    Raises:
        ConfigError: Neither is a run of ours.
    """
    path, results = expanded(run), expanded(results)
    if not path.is_dir():
        parent = results if path.name == run else path.parent
        path = parent / path.name
        names = [study.parent.name for study in sorted(parent.glob("*/study.json"))]
        if names and not path.is_dir():
            raise ConfigError(unknown_choice(f"run in {parent}", path.name, names))
        if path.name == run and not path.is_dir():
            raise ConfigError(
                f"a run must be a folder with study.json, got {path}; a name is looked for in "
                f"--results"
            )
    return RunFolder.open(resolved(path))


def location_of(run: str, results: Path) -> str | Path:
    """Return the URI that a user names, or the folder of the run as `find_run` opens it.

    Raises:
        ConfigError: It is no run of ours.
    """
    return run if is_uri(run) else find_run(run, results).path


def default_name(space_name: str) -> str:
    """Return the name of a run whose user names none: space, local time, and a random number.

    By the number, searches that start in the same second, on two machines perhaps, are two runs.

    >>> default_name("my space")[:9]
    'my-space-'
    """
    plain = re.sub(r"[^\w.-]+|^[.-]+", "-", space_name, flags=re.ASCII).strip("-")
    name = plain[:_SPACE_CHARS] or "search"
    return f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"


def check_new(path: Path) -> None:
    """Refuse a run folder that exists, or that cannot be made.

    Raises:
        ConfigError: The rule that it breaks.
    """
    check_utf8(path.absolute())
    if path.exists():
        raise ConfigError(f"a run folder must not exist yet: {path}; choose another --name")
    parent = existing_parent(path)
    if not parent.is_dir():
        kind = "link" if parent.is_symlink() else "file"
        raise ConfigError(f"the results folder must be a folder, got the {kind} {parent}")
    if not os.access(parent, os.W_OK):
        raise ConfigError(f"the results folder must be writable, got {parent}")


def existing_parent(path: Path) -> Path:
    """Return the nearest folder above a path that is there, or a link that leads nowhere."""
    parent = path.absolute().parent
    while not (parent.exists() or parent.is_symlink()):
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
