"""A run as one object, for notebooks and for reports: its tables, its winner, its study."""

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
from pyarrow import fs

from model.config import TrialConfig
from model.errors import ConfigError
from model.system.energy import Energy
from model.system.files import resolved
from model.system.filesystem import STORE_ERRORS, broken_rule, is_uri, open_location, read, split
from search_spaces import SearchSpace
from tune.records.finalist_table import FINALIST_TABLE
from tune.records.json_file import read_json
from tune.records.order_table import ORDER_TABLE
from tune.records.orders import Action
from tune.records.predictor_table import PREDICTOR_TABLE
from tune.records.quality_table import QUALITY_TABLE
from tune.records.run_folder import RunFolder
from tune.records.samples_file import Samples
from tune.records.study_file import StudyFile
from tune.records.tables import Table, config_of, epochs_frame, ranked, trials_frame


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class LoadedRun:
    """A run as it stood when it was read; results/README.md documents the columns.

    Attributes:
        name: The run folder's name.
        study: What study.json holds.
        trials: One row a trial, by number.
        epochs: One row a trial and epoch.
        finalists: One row a training of a finalist; no rows where there are none yet.
        predictor: The mixture of the best networks and its members; no rows where there is none.
        quality: How good the text is that the best networks write; no rows before the end.
        orders: What was ordered by hand while it ran; no rows where nothing was.
        samples: What the best networks write; None before the end, and in earlier runs.
        energy: What the driver's machine used, other programs included, where it tells.
    """

    name: str
    study: StudyFile
    trials: pd.DataFrame
    epochs: pd.DataFrame
    finalists: pd.DataFrame
    quality: pd.DataFrame
    predictor: pd.DataFrame = dataclasses.field(default_factory=lambda: PREDICTOR_TABLE.of(()))
    orders: pd.DataFrame = dataclasses.field(default_factory=lambda: ORDER_TABLE.of(()))
    samples: Samples | None = None
    energy: Energy = dataclasses.field(default_factory=Energy)

    @property
    def best(self) -> TrialConfig | None:
        """The configuration with the lowest val_bits_per_char so far; None without an epoch."""
        best = ranked(self.trials)
        return None if best.empty else config_of(best.iloc[0])

    def config(self, number: int) -> TrialConfig:
        """Return a trial's configuration, as best.json has the winner's.

        Raises:
            ConfigError: The run has no such trial.
        """
        found = self.trials[self.trials["number"] == number]
        if found.empty:
            known = f"the run's {len(self.trials)}, numbered from 0"
            raise ConfigError(f"a trial must be one of {known}, got {number!r}")
        return config_of(found.iloc[0])

    @property
    def starts(self) -> pd.DataFrame:
        """The trials that the search started from, best first: its base and its other starts.

        They are the first of its own. Not always from the number that follows the baselines': of a
        driver that was killed at once some baselines may come after a start, when it is resumed.
        """
        added = self.orders.loc[self.orders["order"] == Action.ADD, "trial"]
        is_own = self.trials["baseline"].isna() & ~self.trials["number"].isin(added)
        own = self.trials[is_own].sort_values("number")
        return ranked(own.head(len(self.space.all_starts())))

    @property
    def space(self) -> SearchSpace:
        """What was searched."""
        return self.study.space

    @property
    def is_running(self) -> bool:
        """Whether the search had not come to an end; one that was killed looks the same."""
        return self.study.is_running

    @property
    def search_seconds(self) -> float:
        """How long the search has run; while it runs, up to its last saved event."""
        if not self.study.is_running:
            return self.study.search_seconds
        frames = self.trials, self.epochs
        known = pd.concat([frame["search_seconds"] for frame in frames]).dropna()
        last = float(known.max()) if len(known) else 0.0
        return max(last, self.study.search_seconds)  # no table has the time of a predictor

    @property
    def has_result(self) -> bool:
        """Whether any trial has trained an epoch."""
        return bool(self.trials["val_bits_per_char"].notna().any())

    def __repr__(self) -> str:
        """Return one line: tables are looked at one by one."""
        best = self.trials["val_bits_per_char"].min()
        score = f", best {best:.4f} bits per character" if self.has_result else ""
        return (
            f"<run {self.name}: {self.space.name} on {self.study.corpus.name}, "
            f"{len(self.trials)} trials{score}, {self.study.ended}>"
        )


def load_run(run: str | Path) -> LoadedRun:
    """Read a run, whether it has ended or is in progress.

    The tables of a run in progress are those that were last saved: seconds old, and whole.

    Args:
        run: The run folder, or a URI that pyarrow reads, such as s3://bucket/results/ten.

    Raises:
        ConfigError: It is no run of ours, or a file of it is damaged or cannot be reached.
    """
    with local_folder(run, lambda folder: folder.record_files) as folder:
        return read_run(folder)


def read_run(folder: RunFolder, tables: tuple[Table, Table] | None = None) -> LoadedRun:
    """Read a run from its folder.

    Args:
        folder: The folder.
        tables: The trials and the epochs, where they are known.

    Raises:
        ConfigError: A file of it is damaged.
    """
    study = folder.read_study()
    if tables is not None:
        trials, epochs = tables
    elif study.is_running and not folder.trials_file.exists():
        trials, epochs = trials_frame([]), epochs_frame([])  # no trial has begun
    else:
        trials, epochs = folder.read_tables()
    finalists = FINALIST_TABLE.read(folder.finalists_file)
    if not finalists["number"].isin(trials["number"]).all():
        raise ConfigError(f"each finalist of a run must be a trial of it, got {folder.path}")
    return LoadedRun(
        name=folder.path.name,
        study=study,
        trials=trials,
        epochs=epochs,
        finalists=finalists,
        quality=QUALITY_TABLE.read(folder.quality_file),
        predictor=PREDICTOR_TABLE.read(folder.predictor_file),
        orders=ORDER_TABLE.read(folder.orders_file),
        samples=read_json(folder.samples_data_file, Samples, "a run's samples"),
        energy=read_json(folder.energy_file, Energy, "a run's energy") or Energy(),
    )


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
        yield RunFolder.open(resolved(run))
        return
    file_system, root = open_location(location)
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
