"""The tables on disk: typed, documented, written whole or not at all, as CSV and as Parquet.

results/README.md documents every column; a test holds the two together.
"""

import dataclasses
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from model.config import (
    CELLS,
    FIELD_NAMES,
    NORMALIZATIONS,
    OPTIMIZERS,
    REGIMES,
    UNITS,
    TrialConfig,
    is_own_cell,
)
from model.errors import ConfigError, first_line
from model.system.files import write_text, write_whole
from model.text.cleaning import CLEANINGS
from search_spaces import SearchSpace
from tune.records.orders import Action
from tune.records.trial import SCORES, EpochRecord, Status, TrialRecord

Table = pd.DataFrame
"""For the type hints of files that only pass tables on."""
_DTYPES: dict[Any, str] = {
    int: "Int64",
    float: "Float64",
    str: "string",
    bool: "boolean",
    int | None: "Int64",
    float | None: "Float64",
    str | None: "string",
}


def dtypes_of(record: type[Any]) -> dict[str, str]:
    """Return the columns that a dataclass' fields are, in order, with their pandas types.

    A field that is a dataclass itself has a column for each field of its own.
    """
    found: dict[str, str] = {}
    for field in dataclasses.fields(record):
        if dataclasses.is_dataclass(field.type):
            found |= dtypes_of(field.type)  # type: ignore[arg-type]
        else:
            found[field.name] = _DTYPES[field.type]
    return found


TRIAL_DTYPES: dict[str, str] = {
    "trial_id": "string",
    "number": "Int64",
    "status": "string",
    "baseline": "string",
    **dtypes_of(TrialConfig),
    "epochs_run": "Float64",
    "best_epoch": "Float64",
    **dict.fromkeys(SCORES, "Float64"),
    "num_parameters": "Int64",
    "vocabulary_size": "Int64",
    "elapsed_seconds": "Float64",
    "search_seconds": "Float64",
    "error": "string",
}
"""Columns of trials.csv, in order, with their pandas types."""
EPOCH_DTYPES = dtypes_of(EpochRecord)
"""Columns of epochs.csv, in order, with their pandas types."""
LATER_EPOCH_COLUMNS = ("report", "chars_trained")
"""Those that runs of before 2026-11-29 lack: they reported once an epoch."""
_NUMBERS_OF_EPOCHS = ("epochs", "epochs_run", "best_epoch", "epoch")
"""Columns of whole numbers where all of them are."""


_CHOICES: dict[str, Iterable[str]] = {
    "status": Status,
    "cleaning": CLEANINGS,
    "unit": UNITS,
    "regime": REGIMES,
    "normalization": NORMALIZATIONS,
    "cell": CELLS,
    "optimizer": OPTIMIZERS,
    "order": Action,
}
"""Columns that hold names, and which."""


def trials_frame(records: Iterable[TrialRecord]) -> pd.DataFrame:
    """Return one row a trial, in the order of their numbers; no trials give an empty frame."""
    rows = [record.row() for record in sorted(records, key=lambda record: record.number)]
    return frame_of(rows, TRIAL_DTYPES)


def epochs_frame(records: Iterable[TrialRecord]) -> pd.DataFrame:
    """Return one row a trial and report, by both."""
    ordered = sorted(records, key=lambda record: record.number)
    rows = [dataclasses.asdict(epoch) for record in ordered for epoch in record.epochs]
    return frame_of(rows, EPOCH_DTYPES)


def frame_of(rows: Iterable[dict[str, Any]], dtypes: dict[str, str]) -> pd.DataFrame:
    """Return rows as a table in its types; what they have besides its columns is left out."""
    return typed(pd.DataFrame(list(rows), columns=list(dtypes)), dtypes)


def typed(table: pd.DataFrame, dtypes: dict[str, str]) -> pd.DataFrame:
    """Return a table in its types; numbers of epochs are whole ones where all of them are."""
    table = table.astype(dtypes)
    for name in _NUMBERS_OF_EPOCHS:
        if name in table and (table[name].dropna() % 1 == 0).all():
            table[name] = table[name].astype("Int64")
    return table


def counted_epochs(trials: pd.DataFrame, epochs: pd.DataFrame) -> pd.DataFrame:
    """Return the reports that a table of trials counts: it may be a moment older than theirs."""
    counted = trials.set_index("number")["epochs_run"]
    known = epochs["epoch"] <= epochs["number"].map(counted).fillna(0)
    return epochs[known].reset_index(drop=True)


def read_table(
    path: Path,
    dtypes: dict[str, str],
    *,
    keys: Sequence[str] = (),
    later_columns: Iterable[str] = (),
) -> pd.DataFrame:
    """Read a table that `write_table` wrote, also before TrialConfig got its latest fields.

    Args:
        path: The file.
        dtypes: Its columns.
        keys: Columns that together tell its rows apart.
        later_columns: Those that earlier versions did not write; without them they are empty.

    Raises:
        ConfigError: The file is missing, has other columns, or values that no run writes.
    """
    try:
        # Empty is missing, and nothing else: a baseline may be named NA.
        table = pd.read_csv(path, dtype=dtypes, keep_default_na=False, na_values=[""])
        later: dict[str, Any] = dict.fromkeys(set(later_columns) - set(table), pd.NA)
        table = table.assign(**later, **_later_fields(table, dtypes))
        table = typed(table[list(dtypes)], dtypes)
        _check_values(table, keys)
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise ConfigError(
            f"a run's table must be readable: {path}: {first_line(error)}"
        ) from error
    return table


def _check_values(table: pd.DataFrame, keys: Sequence[str]) -> None:
    """Refuse numbers that are none, and rows that are not one of a kind.

    Raises:
        ValueError: The rule that is broken.
    """
    floats = table.select_dtypes("Float64").astype("float64")
    if np.isinf(floats.to_numpy()).any():
        raise ValueError("numbers must be finite")
    if keys and (table[list(keys)].isna().any(axis=None) or table.duplicated(list(keys)).any()):
        raise ValueError(f"each row must have a {' and '.join(keys)} of its own")
    for column, choices in _CHOICES.items():
        if column not in table:
            continue
        named = table[column]
        if column == "cell":
            named = named[~named.fillna("").map(is_own_cell).astype(bool)]
        if not named.isin(list(choices)).all():
            raise ValueError(f"{column} must be one of {', '.join(choices)}")


def _later_fields(table: pd.DataFrame, dtypes: dict[str, str]) -> dict[str, Any]:
    """Return the defaults of the settings that a table does not have yet."""
    defaults = TrialConfig().to_dict()
    return {name: defaults[name] for name in defaults if name in set(dtypes) - set(table)}


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, and as Parquet beside it, each whole or not at all.

    Args:
        frame: The table.
        path: The CSV file; the other has the suffix .parquet.
    """
    write_text(path, frame.to_csv(index=False))
    buffer = io.BytesIO()
    # 1,000 trials of 8 epochs: 20 ms, where the CSV takes 0.27 s; so it is written live too.
    frame.to_parquet(buffer, index=False)
    write_whole(path.with_suffix(".parquet"), buffer.getvalue())


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class OptionalTable:
    """A table that a run may lack: an early run, or one that has not come so far.

    Attributes:
        dtypes: Its columns, in order, with their pandas types.
        keys: See `read_table`.
        later_columns: See `read_table`.
    """

    dtypes: dict[str, str]
    keys: tuple[str, ...] = ()
    later_columns: tuple[str, ...] = ()

    def of(self, rows: Iterable[dict[str, Any]]) -> Table:
        """Return the table of some rows, perhaps of none."""
        return frame_of(rows, self.dtypes)

    def write(self, rows: Iterable[dict[str, Any]], path: Path) -> None:
        """Write the table of some rows whole or not at all."""
        write_table(self.of(rows), path)

    def read(self, path: Path) -> Table:
        """Return the table; without the file, no rows.

        Raises:
            ConfigError: It is damaged.
        """
        if not path.exists():
            return self.of(())
        return read_table(path, self.dtypes, keys=self.keys, later_columns=self.later_columns)


def config_of(row: Any) -> TrialConfig:
    """Return the configuration of a row of trials.csv, with the precision that it ran in."""
    return TrialConfig.from_dict(row[list(FIELD_NAMES)].to_dict())


def starts_of(trials: pd.DataFrame, space: SearchSpace) -> pd.DataFrame:
    """Return the trials that a search started from, best first: its base and its other starts.

    They are the first of its own. Not always from the number that follows the baselines': of a
    driver that was killed at once some baselines may come after a start, when it is resumed.
    """
    own = trials[trials["baseline"].isna()].sort_values("number")
    return ranked(own.head(len(space.all_starts())))


def ranked_configurations(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the best trial of each configuration, best first; a baseline is one of its own."""
    own = [name for name in (*FIELD_NAMES, "baseline") if name != "seed"]
    return ranked(trials).drop_duplicates(own, ignore_index=True)


def ranked(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials that were measured, best first; equals by number."""
    measured = trials[trials["val_bits_per_char"].notna()]
    return measured.sort_values(["val_bits_per_char", "number"], ignore_index=True)


def of_group(trials: pd.DataFrame, values: Mapping[str, Any]) -> pd.DataFrame:
    """Return the trials that have some values; all where none is asked for."""
    for name, value in values.items():
        trials = trials[trials[name] == value]
    return trials
