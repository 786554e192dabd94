"""A study: the settings of a search, all checked."""

import dataclasses
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pyarrow.fs import LocalFileSystem

from model.config import check_type
from model.errors import ConfigError
from model.scoring.objective import PreparedCorpus
from model.system.durations import parse_duration
from model.system.files import expanded
from model.system.filesystem import join, normal, open_location
from model.text.corpus import Corpus
from search_spaces import SearchSpace
from tune.records.history import read_search, seconds_run
from tune.records.run_folder import RunFolder
from tune.records.search_record import SearchRecord
from tune.records.study_file import StudyFile, StudySettings, new_search_id
from tune.records.trial import TrialRecord, num_ended


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StudyOptions:
    """The command line's options; None for an option that was not given.

    Raises:
        ConfigError: A value has the wrong type, a number is out of range, a duration is invalid,
            or the run to resume has no name.
    """

    space: str | None = None
    configs: Sequence[str] = ()
    resume: str | None = None
    or_resume: bool = False
    corpus: str | Sequence[str] | None = None
    validation: str | None = None
    test: str | None = None
    fix: Sequence[str] = ()
    cell: Sequence[str] = ()
    keep_front_matter: bool | None = None
    encoding: str | None = None
    trials: int | None = None
    time_budget: str | None = None
    finalists: int | None = None
    finalist_seeds: int | None = None
    stop_when_settled: bool | None = None
    results: Path = Path("results")
    name: str | None = None
    sampler: str | None = None
    start_from: Sequence[str] = ()
    storage: str | None = None
    seed: int | None = None
    address: str | None = None
    max_concurrent: int | None = None
    cpus_per_trial: int = 1
    gpus_per_trial: float | None = None
    trial_timeout: str | None = None
    dry_run: bool = False
    quiet: bool = False
    log_format: str = "text"
    mlflow: str | None = None
    tracker: Sequence[str] = ()
    notify: str | None = None
    command: str = ""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_option(field.name, getattr(self, field.name), field.type)
        object.__setattr__(self, "results", expanded(self.results))
        if self.configs and (self.space is not None or self.trials is not None or self.start_from):
            raise ConfigError("--configs must be without --space, --trials and --start-from")
        if self.max_concurrent is not None and self.max_concurrent < 1:
            raise ConfigError(f"max_concurrent must be at least 1, got {self.max_concurrent}")
        if self.or_resume and self.name is None:
            raise ConfigError("--or-resume needs the --name of the run")
        if self.or_resume and self.resume is not None:
            raise ConfigError("--or-resume finds the run by --name: it must be without --resume")
        if self.time_budget is not None:
            parse_duration(self.time_budget)
        # One spelling, because study.json's is compared with the command line's.
        if self.storage is not None:
            object.__setattr__(self, "storage", normal(self.storage))
        self.over(StudySettings())

    @property
    def trial_timeout_seconds(self) -> float | None:
        """Seconds of `trial_timeout`."""
        return None if self.trial_timeout is None else parse_duration(self.trial_timeout)

    def over(self, settings: StudySettings) -> StudySettings:
        """Return settings, with the command line's values instead of the earlier ones.

        Raises:
            ConfigError: A number is out of its range, or a duration is none.
        """
        names = [field.name for field in dataclasses.fields(settings)]
        said = {name: getattr(self, name) for name in names}
        known = {name: value for name, value in said.items() if value is not None}
        return dataclasses.replace(settings, **known)


def _check_option(name: str, value: object, hint: Any) -> None:
    """Refuse a value of the wrong type for an option, as TrialConfig does."""
    kinds = hint.__args__ if isinstance(hint, types.UnionType) else (hint,)
    if value is None and types.NoneType in kinds:
        return
    if Sequence[str] not in kinds or (isinstance(value, str) and str in kinds):
        check_type(name, value, kinds[0])
        return
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{name} must be a list of str, got {value!r}")
    for each in value:
        check_type(f"each {name}", each, str)


class Spent(NamedTuple):
    """The work of a search's earlier sessions; the first trials are assumed to have ended.

    If the search is over, no trial follows.
    """

    num_ended: int = 0
    seconds: float = 0.0
    num_finalist_trainings: int = 0
    is_over: bool = False


NOTHING_SPENT = Spent()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EarlierSessions:
    """A run as its earlier sessions left it.

    Attributes:
        folder: The run folder.
        study: What study.json holds.
        search: What its history tells.
        finalists: The records of the finalists' trainings, by their keys.
    """

    folder: RunFolder
    study: StudyFile
    search: SearchRecord
    finalists: dict[int, TrialRecord]

    @classmethod
    def of(cls, folder: RunFolder) -> "EarlierSessions":
        """Read a run.

        Raises:
            ConfigError: study.json or a history cannot be read.
        """
        return cls(
            folder=folder,
            study=folder.read_study(),
            search=read_search(folder.history_file),
            finalists=read_search(folder.finalists_history_file).records,
        )

    @property
    def seconds(self) -> float:
        """Seconds of the sessions; of a killed one, until its last event.

        Work after the finalists' trainings is in no history, only in study.json.
        """
        return max(
            self.study.search_seconds,
            seconds_run(self.search.records),
            seconds_run(self.finalists),
        )

    def spent(self, num_settled: int, *, is_over: bool) -> Spent:
        """Return their work, given the number of settled trials."""
        return Spent(num_settled, self.seconds, num_ended(self.finalists.values()), is_over)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """A search whose settings are all checked.

    Attributes:
        space: The space, with the command line's budget.
        corpus: The text.
        prepared: The text, split, cleaned and encoded, with floors and prices.
        run_path: The run folder.
        settings: What study.json keeps of the command line.
        command: The command line that began it, for the report.
        earlier: Its earlier sessions, None for a new search.
        notes: As in `StudyFile`.
        extended: Whether more is asked for than in its earlier sessions, or other finalists.
        trackers: Factories of this session's trackers, by name; a run keeps none.
        search_id: As in `StudyFile`.
        name: As in `StudyFile`; if empty, the folder's name.
    """

    space: SearchSpace
    corpus: Corpus
    prepared: PreparedCorpus
    run_path: Path
    settings: StudySettings
    command: str
    earlier: EarlierSessions | None = None
    notes: tuple[str, ...] = ()
    extended: bool = False
    trackers: Mapping[str, Callable[[Any], Any]] = dataclasses.field(default_factory=dict)
    search_id: str = dataclasses.field(default_factory=new_search_id)
    name: str = ""

    @property
    def wants_finalists(self) -> bool:
        """Whether the best are to be retrained."""
        return self.settings.finalists > 0

    @property
    def reserves_time(self) -> bool:
        """Whether a search ends in time for its finalists; without axes, all are trained whole."""
        return self.wants_finalists and bool(self.space.distributions)

    @property
    def num_trials(self) -> int:
        """Trials in all, baselines included."""
        return self.space.budget.trials

    @property
    def checkpoints_root(self) -> str:
        """Where Ray keeps the trials' checkpoints: an absolute path or a URI."""
        if self.settings.storage is None:
            return str(RunFolder(self.run_path.resolve()).ray_folder)
        return join(self.settings.storage, self.name or self.run_path.name)

    @property
    def finalists_root(self) -> str:
        """Where Ray keeps the finalists' checkpoints."""
        return join(self.checkpoints_root, "finalists")

    @property
    def mirror_root(self) -> str | None:
        """Location of the storage's copy of the run folder; None if the folder is itself there."""
        root = self.checkpoints_root
        # The run may continue in the storage's own folder, for example on NFS.
        is_there = self.settings.storage is None or is_folder(root, self.run_path)
        return None if is_there else root


def is_folder(location: str, path: Path) -> bool:
    """Return whether a location is a folder of this machine."""
    file_system, place = open_location(location)
    return isinstance(file_system, LocalFileSystem) and Path(place).resolve() == path.resolve()


def finalists_of(settings: StudySettings) -> tuple[int, int]:
    """Return how many finalists are trained, and with how many seeds."""
    return settings.finalists, settings.finalist_seeds
