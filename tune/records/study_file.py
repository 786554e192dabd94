"""Reads, checks and writes study.json: what a search was asked for, ran on, and how it ended.

This file owns its keys: whoever reads or writes study.json does it through StudyFile. A key that
earlier versions did not write has a default here, and a key that is not known is left out.
"""

import dataclasses
import re
import secrets
from typing import Any

from model.errors import ConfigError
from model.scoring.objective import OBJECTIVE_VERSION, Floor, Floors
from model.scoring.resemblance import Resemblance
from model.system.filesystem import is_safe
from model.system.json_schema import checked, record
from model.text.cleaning import RAW
from model.text.corpus import Corpus
from model.text.reading import UTF_8, Reading
from search_spaces import SearchSpace

FORMAT_VERSION = 1
STILL_RUNNING = "still running"
"""`ended` of a search that has not ended, or was killed."""
STOPPED_BY_USER = "interrupted"
SEEDS_AT_MOST = 100
"""A finalist's key is its trial's number times this, plus the number of its seed."""
_SEARCH_ID = re.compile(r"[0-9a-f]{12}")


def new_search_id() -> str:
    """Return what tells a search from all others, of the same name and seed too."""
    return secrets.token_hex(6)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StudySettings:
    """Settings of the command line that a run keeps; a resumed run has them too.

    Attributes:
        seed: Seed of everything, at least 0.
        sampler: Name of the sampler; "auto" until the nodes are known.
        storage: Storage of the run and its checkpoints; None is the run folder.
        trial_timeout_seconds: Silence after which a trial is killed; None is never.
        finalists: Number of the best trials that are trained again at the end.
        finalist_seeds: Trainings of each finalist, 1 to SEEDS_AT_MOST.
        keep_front_matter: Whether the text has the front matter of Gutenberg's books.
        encoding: Encoding of the text's files.
        stop_when_settled: Whether the search ends once the rest would gain no more than noise.

    Raises:
        ConfigError: A number is out of its range, or there is no such encoding.
    """

    seed: int = 0
    sampler: str = "tpe"  # the only one there was before the key
    storage: str | None = None
    trial_timeout_seconds: float | None = None
    finalists: int = 3
    finalist_seeds: int = 3
    keep_front_matter: bool = False
    encoding: str = UTF_8
    stop_when_settled: bool = False

    @property
    def reading(self) -> Reading:
        """How the bytes of the text are read."""
        return Reading(keep_front_matter=self.keep_front_matter, encoding=self.encoding)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError(f"seed must be at least 0, got {self.seed}")
        if self.finalists < 0:
            raise ConfigError(f"finalists must be at least 0, got {self.finalists}")
        if not 1 <= self.finalist_seeds <= SEEDS_AT_MOST:
            raise ConfigError(
                f"finalist_seeds must be in 1 to {SEEDS_AT_MOST}, got {self.finalist_seeds}"
            )
        _ = self.reading  # it refuses an encoding that there is not


CHANGEABLE_SETTINGS = ("trial_timeout_seconds", "finalists", "finalist_seeds", "stop_when_settled")
"""Settings that a session may give a resumed run; all others must be those that it began with."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CorpusOrigin:
    """Which text it was.

    Attributes:
        name: Its name, as the user gave it.
        source: Where it came from, in words.
        sha256: Hexadecimal SHA-256 of the text.
        num_chars: Length of the text.
        location: Path, name or URL that finds it again; empty in the oldest runs.
        num_train_chars: Length of its training part, where its parts were texts of their own.
        num_validation_chars: The same of its validation passage.
        is_published: As in `Corpus`.
        has_own_held_out: As in `Corpus`.

    Raises:
        ConfigError: The parts are longer than the text, or one of the two lengths is missing.
    """

    name: str
    source: str
    sha256: str
    num_chars: int
    location: str = ""
    num_train_chars: int | None = None
    num_validation_chars: int | None = None
    is_published: bool = False
    has_own_held_out: bool = False

    def __post_init__(self) -> None:
        lengths = (self.num_train_chars or 0, self.num_validation_chars or 0)
        if (self.num_train_chars, self.num_validation_chars) == (None, None):
            return
        if min(lengths) <= 0 or sum(lengths) >= self.num_chars:
            raise ConfigError(
                f"num_train_chars and num_validation_chars must be parts of {self.num_chars:,} "
                f"characters, got {self.num_train_chars} and {self.num_validation_chars}"
            )

    @property
    def lengths(self) -> tuple[int, int] | None:
        """As in `Corpus`."""
        if self.num_train_chars is None or self.num_validation_chars is None:
            return None
        return self.num_train_chars, self.num_validation_chars

    @classmethod
    def of(cls, corpus: Corpus) -> "CorpusOrigin":
        """Take from a text what is written down of it."""
        return cls(
            name=corpus.name,
            source=corpus.source,
            sha256=corpus.sha256,
            num_chars=len(corpus.text),
            location=corpus.location,
            num_train_chars=corpus.lengths[0] if corpus.lengths else None,
            num_validation_chars=corpus.lengths[1] if corpus.lengths else None,
            is_published=corpus.is_published,
            has_own_held_out=corpus.has_own_held_out,
        )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ObjectiveFacts:
    """The n-gram floor and the prices of the cleanings.

    Attributes:
        floor_order: Order of the n-gram.
        floors: Cleaning to its floor.
        restoration_bits_per_char: Cleaning to the price of restoring what it dropped.
        name: The metric.
        version: See model.scoring.objective.OBJECTIVE_VERSION; the earliest runs do not say.

    Raises:
        ConfigError: The raw text, or one with a price, has no floor, or the version is unknown.
    """

    floor_order: int
    floors: dict[str, Floor]
    restoration_bits_per_char: dict[str, float]
    name: str = "val_bits_per_char"
    version: int = 1

    def __post_init__(self) -> None:
        _ = self.as_floors()  # it refuses an order, or a text without a floor
        if not 1 <= self.version <= OBJECTIVE_VERSION:
            raise ConfigError(
                f"an objective's version must be 1 to {OBJECTIVE_VERSION}, got {self.version}"
            )
        for cleaning in self.restoration_bits_per_char:
            if cleaning not in self.floors:
                raise ConfigError(
                    f"restoration_bits_per_char must be of cleanings with a floor, "
                    f"{', '.join(self.floors)}, got {cleaning!r}"
                )

    @property
    def floor_name(self) -> str:
        """What the n-gram is called."""
        kind = "character" if self.version == 1 else "Kneser-Ney"
        return f"{kind} {self.floor_order}-gram"

    def as_floors(self) -> Floors:
        """Return the floors and their order, which a resumed run is judged by."""
        return Floors(order=self.floor_order, of_cleaning=self.floors)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PlannedTime:
    """The plan's estimate of a search, and how far off it was.

    Attributes:
        planned_seconds: Range of the search's seconds.
        planned_trials: Range of the number of trials.
        measured_trials: Trials that have been compared with it.
        measured_by_predicted: Measured by predicted seconds of an epoch, the quantiles 0.1, 0.5
            and 0.9.
        memory_trials: Trials whose memory has been compared.
        memory_by_predicted: Measured by predicted peak memory: the same quantiles.
        planned_on_resuming: Whether a later session made it, for another budget.
    """

    planned_seconds: tuple[float, float]
    planned_trials: tuple[int, int]
    measured_trials: int = 0
    measured_by_predicted: tuple[float, float, float] | None = None
    memory_trials: int = 0
    memory_by_predicted: tuple[float, float, float] | None = None
    planned_on_resuming: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StudyFile:
    """What study.json holds; results/README.md documents most of its keys.

    Attributes:
        command: Command line that began the search.
        space: What was searched, its budget as asked for last.
        settings: The other settings; in the file their keys stand beside the others.
        corpus: The text.
        objective: Floors and prices.
        resemblance: Of the validation passage to the training part; None where it is not known.
        machine: Processor, system and number of cores.
        search_seconds: Seconds of all sessions that have ended.
        ended: How it ended, in words, or STILL_RUNNING.
        versions: Package to version.
        git_commit: Commit of the code; None outside a checkout.
        estimate: The plan; None where the machine was not measured.
        unconfirmed: Why no finalist was trained again; None where one was, or that is open.
        found_nothing: Why the search has nothing to show, and what to do; empty for one that has,
            and while it runs.
        finished: Whether a session wrote all results.
        resume: Command that continues the run, on any machine.
        cells: Cell of the user's own to the SHA-256 of its file, of which the run keeps no more.
        search_id: 12 hexadecimal digits that tell it from others of its name.
        name: The run's name in its storage; empty where it is its folder's.
        notes: What the text and the command line changed in the space, a line each.

    Raises:
        ConfigError: search_id or name is something else.
    """

    command: str
    space: SearchSpace
    settings: StudySettings
    corpus: CorpusOrigin
    objective: ObjectiveFacts
    machine: str
    search_seconds: float
    ended: str
    resemblance: Resemblance | None = None
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    git_commit: str | None = None
    estimate: PlannedTime | None = None
    unconfirmed: str | None = None
    found_nothing: str = ""
    finished: bool = False
    resume: str = ""
    cells: dict[str, str] = dataclasses.field(default_factory=dict)
    search_id: str = dataclasses.field(default_factory=new_search_id)
    name: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.name and ("/" in self.name or not is_safe(self.name)):
            raise ConfigError(f"name must be a folder's name, got {self.name!r}")
        if not _SEARCH_ID.fullmatch(self.search_id):
            raise ConfigError(f"search_id must be 12 hexadecimal digits, got {self.search_id!r}")

    @property
    def floor_bits_per_char(self) -> float:
        """What the n-gram scores on the raw validation passage."""
        return self.objective.floors[RAW].validation_bits_per_char

    @property
    def is_running(self) -> bool:
        """Whether the search had not come to an end; one that was killed looks the same."""
        return self.ended == STILL_RUNNING

    def to_json(self) -> dict[str, Any]:
        """Return the keys and values of study.json."""
        values: dict[str, Any] = {"format_version": FORMAT_VERSION}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "settings":
                values |= dataclasses.asdict(value)
            elif field.name == "space":
                values["space"] = value.to_json()
            else:
                is_record = dataclasses.is_dataclass(value)
                values[field.name] = dataclasses.asdict(value) if is_record else value
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "StudyFile":
        """Check and take what study.json holds.

        Raises:
            ValueError: A key is missing, a value is of another type, or the format is newer.
        """
        version = checked(values.get("format_version"), int, "format_version")
        if version > FORMAT_VERSION:
            raise ValueError(f"a run's format must be at most {FORMAT_VERSION}, got {version}")
        if values.get("unconfirmed") == "a space without axes has no finalists":
            values = values | {"finalists": 0}  # earlier runs say 3 and had none
        study: StudyFile = record(values | {"settings": values}, cls, "study.json")
        return study
