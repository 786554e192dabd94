"""The tables: one row a trial, one row a trial and epoch; typed, documented, written whole.

results/README.md documents every column; a test holds the two together.
"""

import dataclasses
import enum
import itertools
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from model.config import FIELD_NAMES, TrialConfig
from model.errors import ConfigError

Table = pd.DataFrame
"""For the type hints of files that only pass tables on."""


class Status(enum.StrEnum):
    """How a trial ended."""

    RUNNING = "RUNNING"
    """Not ended yet."""
    COMPLETE = "COMPLETE"
    """All its epochs were trained."""
    PRUNED = "PRUNED"
    """Stopped by ASHA at a rung."""
    STOPPED = "STOPPED"
    """Cut off by the time budget or by Ctrl-C."""
    DIVERGED = "DIVERGED"
    """Its loss became NaN or infinite."""
    FAILED = "FAILED"
    """It raised an error, or its process died."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EpochRecord:
    """One trained epoch of one trial; the fields are the columns of epochs.csv."""

    trial_id: str
    number: int
    epoch: int
    train_nats_per_char: float
    val_nats_per_char: float
    val_own_bits_per_char: float
    val_bits_per_char: float
    elapsed_seconds: float
    search_seconds: float


@dataclasses.dataclass(kw_only=True, slots=True)
class TrialRecord:
    """What is known of a trial so far.

    Attributes:
        number: Counts trials from 0 in the order in which they were proposed.
        config: Its configuration.
        baseline: Name of the baseline it is, or empty.
        status: How it ended.
        precision: The arithmetic it ran in, empty before the first epoch.
        num_parameters: Trained numbers of its network, None before the first epoch.
        vocabulary_size: Symbols of its cleaned text, None before the first epoch.
        search_seconds: Seconds from the search's start to the trial's end so far.
        error: Why it failed or diverged, or empty.
        epochs: Its epochs, in order.
    """

    number: int
    config: TrialConfig
    baseline: str = ""
    status: Status = Status.RUNNING
    precision: str = ""
    num_parameters: int | None = None
    vocabulary_size: int | None = None
    search_seconds: float = 0.0
    error: str = ""
    epochs: list[EpochRecord] = dataclasses.field(default_factory=list)

    @property
    def trial_id(self) -> str:
        """The name of the trial's folder, the same in every run of the same seed."""
        return trial_id(self.number)

    @property
    def best(self) -> EpochRecord | None:
        """The epoch with the lowest objective; the earliest of equals."""
        return min(self.epochs, key=lambda epoch: epoch.val_bits_per_char, default=None)

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing more to train; a stopped trial can go on."""
        return self.status not in (Status.RUNNING, Status.STOPPED)

    @property
    def objective(self) -> float:
        """The lowest objective of its epochs; infinity without one."""
        return self.best.val_bits_per_char if self.best else float("inf")

    def running_best(self) -> dict[int, float]:
        """Return the lowest objective up to each epoch."""
        values = (epoch.val_bits_per_char for epoch in self.epochs)
        lowest = itertools.accumulate(values, min)
        return {epoch.epoch: value for epoch, value in zip(self.epochs, lowest, strict=True)}

    def row(self) -> dict[str, Any]:
        """Return the trial's row of trials.csv."""
        best = self.best
        measured = {name: getattr(best, name, None) for name in _BEST_EPOCH_COLUMNS}
        return {
            **self.config.to_dict(),
            **measured,
            "trial_id": self.trial_id,
            "number": self.number,
            "status": self.status.value,
            "baseline": self.baseline or None,
            "precision": self.precision or self.config.precision,
            "epochs_run": len(self.epochs),
            "best_epoch": best.epoch if best else None,
            "num_parameters": self.num_parameters,
            "vocabulary_size": self.vocabulary_size,
            "elapsed_seconds": self.epochs[-1].elapsed_seconds if self.epochs else 0.0,
            "search_seconds": self.search_seconds,
            "error": self.error or None,
        }


_BEST_EPOCH_COLUMNS = (
    *("val_bits_per_char", "val_own_bits_per_char"),
    *("val_nats_per_char", "train_nats_per_char"),
)
_DTYPES = {int: "Int64", float: "Float64", str: "string"}

TRIAL_DTYPES: dict[str, str] = {
    "trial_id": "string",
    "number": "Int64",
    "status": "string",
    "baseline": "string",
    **{field.name: _DTYPES[field.type] for field in dataclasses.fields(TrialConfig)},  # type: ignore[index]
    "epochs_run": "Int64",
    "best_epoch": "Int64",
    **dict.fromkeys(_BEST_EPOCH_COLUMNS, "Float64"),
    "num_parameters": "Int64",
    "vocabulary_size": "Int64",
    "elapsed_seconds": "Float64",
    "search_seconds": "Float64",
    "error": "string",
}
"""Columns of trials.csv, in order, with their pandas types."""

EPOCH_DTYPES: dict[str, str] = {
    field.name: _DTYPES[field.type]  # type: ignore[index]
    for field in dataclasses.fields(EpochRecord)
}
"""Columns of epochs.csv, in order, with their pandas types."""


def trial_id(number: int) -> str:
    """Return the name of a trial's folder.

    >>> trial_id(7)
    'trial_00007'
    """
    return f"trial_{number:05d}"


def trials_frame(records: Iterable[TrialRecord]) -> pd.DataFrame:
    """Return one row a trial, in the order of their numbers; no trials give an empty frame."""
    rows = [record.row() for record in sorted(records, key=lambda record: record.number)]
    return pd.DataFrame(rows, columns=list(TRIAL_DTYPES)).astype(TRIAL_DTYPES)


def epochs_frame(records: Iterable[TrialRecord]) -> pd.DataFrame:
    """Return one row a trial and epoch, by trial number and epoch."""
    ordered = sorted(records, key=lambda record: record.number)
    rows = [dataclasses.asdict(epoch) for record in ordered for epoch in record.epochs]
    return pd.DataFrame(rows, columns=list(EPOCH_DTYPES)).astype(EPOCH_DTYPES)


def read_table(
    path: Path, dtypes: dict[str, str], later_columns: Iterable[str] = ()
) -> pd.DataFrame:
    """Read a table that `write_table` wrote, also before TrialConfig got its latest fields.

    Args:
        path: The file.
        dtypes: Its columns.
        later_columns: Those that earlier versions did not write; without them they are empty.

    Raises:
        ConfigError: The file is missing or has other columns.
    """
    try:
        table = pd.read_csv(path, dtype=dtypes)
        later: dict[str, Any] = dict.fromkeys(set(later_columns) - set(table), pd.NA)
        table = table.assign(**later, **_later_fields(table, dtypes))
        return table[list(dtypes)].astype(dtypes)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"a run's table must be readable: {path}: {error}") from error


def _later_fields(table: pd.DataFrame, dtypes: dict[str, str]) -> dict[str, Any]:
    """Return the defaults of the settings that a table does not have yet."""
    defaults = TrialConfig().to_dict()
    return {name: defaults[name] for name in defaults if name in set(dtypes) - set(table)}


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table whole or not at all."""
    write_text(path, frame.to_csv(index=False))


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: a reader never sees half of it."""
    partial_path = path.with_name(f".{path.name}.partial")
    with partial_path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial_path.replace(path)


def config_of(row: Any) -> TrialConfig:
    """Return the configuration of a row of trials.csv, with the precision that it ran in."""
    values = {name: row[name] for name in FIELD_NAMES}
    plain = {
        name: value.item() if hasattr(value, "item") else value for name, value in values.items()
    }
    return TrialConfig.from_dict(plain)


def ranked(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials that were measured, best first; equals by number."""
    measured = trials[trials["val_bits_per_char"].notna()]
    return measured.sort_values(["val_bits_per_char", "number"], ignore_index=True)
