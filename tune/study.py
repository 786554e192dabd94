"""A study: what the command line asks for, checked before Ray starts or a file is written."""

import dataclasses
import itertools
from pathlib import Path

from pyarrow.fs import LocalFileSystem
from rich.console import Console

from model.corpus import Corpus, resolve_corpus
from model.errors import ConfigError
from model.objective import PreparedCorpus, check_fits, prepare_corpus
from model.places import open_place
from search_spaces import Budget, SearchSpace, load_space
from tune.durations import parse_duration
from tune.mlflow_log import check_mlflow
from tune.remote_run import check_new_in_storage
from tune.resources import TrialResources
from tune.run_folder import RunFolder
from tune.run_places import check_new, default_name
from tune.samplers import DEFAULT_SAMPLER, check_sampler
from tune.say import say
from tune.storage import check_name, check_storage, join, normal

FINALISTS = 3
FINALIST_SEEDS = 3
MAX_FINALIST_SEEDS = 100


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StudyOptions:
    """What the command line says; None is "not said"."""

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
        sampler: Proposes the trials, one of SAMPLERS.
        num_finalists: How many of the best are trained anew in the end.
        num_finalist_seeds: How often each of them.
        command: The command line that began it, for the report.
        trial_timeout_seconds: A trial that reports nothing for so long is killed; None is never.
        earlier: The run folder of its earlier sessions, None for a new search.
        extended: Whether it is to do more than its earlier sessions were to do.
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
        if self.num_finalists < 0:
            raise ConfigError(f"finalists must be at least 0, got {self.num_finalists}")
        if not 1 <= self.num_finalist_seeds <= MAX_FINALIST_SEEDS:
            raise ConfigError(
                f"finalist_seeds must be in 1 to {MAX_FINALIST_SEEDS}, "
                f"got {self.num_finalist_seeds}"
            )

    @property
    def wants_finalists(self) -> bool:
        """Whether the best are to be trained anew; a space without axes has no winner."""
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
        return None if self.storage is None or self._is_in_storage else self.checkpoints_root

    @property
    def _is_in_storage(self) -> bool:
        """Whether the run goes on in the storage's own folder, on NFS say."""
        file_system, path = open_place(self.checkpoints_root)
        local = isinstance(file_system, LocalFileSystem)
        return local and Path(path).resolve() == self.run_path.resolve()

    @property
    def max_epochs(self) -> int:
        """The most epochs that a trial of this space trains."""
        return int(max(self.space.values("epochs")))


def prepare(options: StudyOptions, console: Console) -> Study:
    """Check all that can be checked without Ray; the first line printed names the corpus.

    Raises:
        ConfigError: The first rule that is broken.
    """
    assert options.space is not None
    space = with_budget(load_space(options.space), options)
    sampler = check_sampler(options.sampler or DEFAULT_SAMPLER)
    seed = 0 if options.seed is None else options.seed
    if seed < 0:
        raise ConfigError(f"seed must be at least 0, got {seed}")
    name = options.name if options.name is not None else default_name(space.name)
    run_path = options.results / check_name(name)
    check_new(run_path)
    check_places(options, options.storage)
    if options.storage is not None:
        check_new_in_storage(options.storage, name)
    corpus = named_corpus(options.corpus, console)
    return Study(
        space=space,
        corpus=corpus,
        prepared=prepared_for(space, corpus),
        run_path=run_path,
        storage=options.storage,
        seed=seed,
        sampler=sampler,
        num_finalists=FINALISTS if options.finalists is None else options.finalists,
        num_finalist_seeds=(
            FINALIST_SEEDS if options.finalist_seeds is None else options.finalist_seeds
        ),
        command=options.command,
        mlflow=options.mlflow,
        trial_timeout_seconds=seconds_of(options.trial_timeout),
    )


def seconds_of(duration: str | None) -> float | None:
    """Return the seconds of a duration that the command line names, None if it names none.

    Raises:
        ConfigError: It is no duration.
    """
    return None if duration is None else parse_duration(duration)


def check_places(options: StudyOptions, storage: str | None) -> None:
    """Check what a trial asks for, where its checkpoints go, and who is told.

    Raises:
        ConfigError: The rule that is broken.
    """
    TrialResources(cpus=options.cpus_per_trial, gpus=options.gpus_per_trial or 0.0)
    if options.mlflow is not None:
        check_mlflow(options.mlflow)
    if storage is not None:
        check_storage(storage)


def named_corpus(name: str | None, console: Console) -> Corpus:
    """Find the corpus and print which it is.

    Raises:
        CorpusError: It cannot be had.
    """
    corpus = resolve_corpus(name)
    # The source of a file or a URL names it.
    name = "" if f" {corpus.name}," in f"{corpus.source}," else f"{corpus.name}: "
    say(console, f"corpus: {name}{corpus.source}")
    return corpus


def prepared_for(space: SearchSpace, corpus: Corpus) -> PreparedCorpus:
    """Prepare a text for a space.

    Raises:
        CorpusError: It is too short for the space's largest batch or window.
    """
    prepared = prepare_corpus(corpus.text, space.values("cleaning"))
    for cleaning, unit in itertools.product(prepared.encoded, space.values("unit")):
        check_fits(
            prepared.streams(space.config({"cleaning": cleaning, "unit": unit})),
            batch_size=max(space.values("batch_size")),
            sequence_length=max(space.values("sequence_length")),
        )
    return prepared


def with_budget(space: SearchSpace, options: StudyOptions) -> SearchSpace:
    """Return the space with the budget that the command line asks for.

    Raises:
        ConfigError: The budget breaks a rule.
    """
    changes: dict[str, float | int | None] = {}
    if options.trials is not None:
        changes["trials"] = options.trials
        # A number of trials is a budget of its own: the space's time is for its own number.
        changes["time_budget_seconds"] = None
    if options.time_budget is not None:
        changes["time_budget_seconds"] = parse_duration(options.time_budget)
    budget: Budget = dataclasses.replace(space.budget, **changes)  # type: ignore[arg-type]
    most = space.max_trials()
    if most is not None and budget.trials > most:
        raise ConfigError(
            f"trials must be at most {most} in the space {space.name!r}, which has no axes, "
            f"got {budget.trials}"
        )
    return dataclasses.replace(space, budget=budget)
