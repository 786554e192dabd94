"""A study: the settings of a search, all checked."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from pyarrow.fs import LocalFileSystem

from model.errors import ConfigError
from model.scoring.objective import PreparedCorpus
from model.system.durations import parse_duration
from model.system.filesystem import join, normal, open_location
from model.text.corpus import Corpus
from search_spaces import SearchSpace
from tune.records.finalist_table import SEEDS_AT_MOST
from tune.records.run_folder import RunFolder

FINALISTS = 3
FINALIST_SEEDS = 3


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StudyOptions:
    """What the command line says; None is an option that was not given.

    Raises:
        ConfigError: A number is out of its range, or a duration is none.
    """

    space: str | None = None
    resume: str | None = None
    or_resume: bool = False
    corpus: str | None = None
    trials: int | None = None
    time_budget: str | None = None
    finalists: int | None = None
    finalist_seeds: int | None = None
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
    command: str = ""

    def __post_init__(self) -> None:
        if self.seed is not None and self.seed < 0:
            raise ConfigError(f"seed must be at least 0, got {self.seed}")
        if self.max_concurrent is not None and self.max_concurrent < 1:
            raise ConfigError(f"max_concurrent must be at least 1, got {self.max_concurrent}")
        _check_finalists(
            FINALISTS if self.finalists is None else self.finalists,
            FINALIST_SEEDS if self.finalist_seeds is None else self.finalist_seeds,
        )
        for duration in (self.time_budget, self.trial_timeout):
            if duration is not None:
                parse_duration(duration)
        # One spelling: what study.json holds is compared with what the command line says.
        if self.storage is not None:
            object.__setattr__(self, "storage", normal(self.storage))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """A search whose settings are all checked.

    Attributes:
        space: The space, its budget as the command line has it.
        corpus: The text.
        prepared: The text, split, cleaned and encoded, with floors and prices.
        run_path: The run folder.
        storage: Where Ray keeps checkpoints; None is the run folder.
        seed: Seed of everything.
        sampler: Proposes the trials, one of SAMPLERS; AUTO until the nodes are known.
        num_finalists: Number of the best trials that are retrained at the end.
        num_finalist_seeds: Number of trainings of each.
        command: The command line that began it, for the report.
        trial_timeout_seconds: Silence after which a trial is killed; None is never.
        earlier: The run folder of its earlier sessions, None for a new search.
        extended: Whether it is to do more than its earlier sessions were, or has other finalists.
        mlflow: An MLflow tracking URI that is told of every trial.
    """

    space: SearchSpace
    corpus: Corpus
    prepared: PreparedCorpus
    run_path: Path
    storage: str | None
    seed: int
    sampler: str
    num_finalists: int
    num_finalist_seeds: int
    command: str
    trial_timeout_seconds: float | None = None
    earlier: RunFolder | None = None
    extended: bool = False
    mlflow: str | None = None

    def __post_init__(self) -> None:
        _check_finalists(self.num_finalists, self.num_finalist_seeds)

    @property
    def wants_finalists(self) -> bool:
        """Whether the best are to be retrained; a space without axes has no winner."""
        return self.num_finalists > 0 and bool(self.space.distributions)

    @property
    def num_trials(self) -> int:
        """Trials in all, baselines included."""
        return self.space.budget.trials

    @property
    def checkpoints_root(self) -> str:
        """Where Ray keeps the trials' checkpoints: an absolute path or a URI."""
        if self.storage is None:
            return str(RunFolder(self.run_path.resolve()).ray_folder)
        return join(self.storage, self.run_path.name)

    @property
    def mirror_root(self) -> str | None:
        """Where the storage has a copy of the run folder; None where the folder lies there."""
        if self.storage is None:
            return None
        file_system, path = open_location(self.checkpoints_root)
        local = isinstance(file_system, LocalFileSystem)
        # The run may go on in the storage's own folder, on NFS say.
        is_there = local and Path(path).resolve() == self.run_path.resolve()
        return None if is_there else self.checkpoints_root

    @property
    def max_epochs(self) -> int:
        """The most epochs that a trial of this space trains."""
        return int(max(self.space.values("epochs")))


def _check_finalists(number: int, seeds: int) -> None:
    if number < 0:
        raise ConfigError(f"finalists must be at least 0, got {number}")
    if not 1 <= seeds <= SEEDS_AT_MOST:
        raise ConfigError(f"finalist_seeds must be in 1 to {SEEDS_AT_MOST}, got {seeds}")
