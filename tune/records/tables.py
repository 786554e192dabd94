"""The tables on disk: typed, written completely or not at all, as CSV and as Parquet.

results/README.md documents every column; a test checks that it does.
"""

import dataclasses
import io
import operator
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from model.config import CELLS, CHOICES, FIELD_NAMES, TrialConfig, is_own_cell
from model.errors import ConfigError, first_line
from model.system.files import write_text, write_whole
from model.system.json_schema import LARGEST_FLOAT
from tune.records.orders import Action
from tune.records.trial import SCORES, EpochRecord, Status, TrialRecord

Table = pd.DataFrame
"""For type hints in files that only pass tables on."""
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
    """Return a dataclass's fields as columns, in order, with their pandas types.

    A field that is itself a dataclass becomes one column per field.
    """
    found: dict[str, str] = {}
    for field in dataclasses.fields(record):
        if dataclasses.is_dataclass(field.type):
            found |= dtypes_of(field.type)  # type: ignore[arg-type]
        else:
            found[field.name] = _DTYPES[field.type]
    return found


_NUMBERS_OF_EPOCHS = ("epochs", "epochs_run", "best_epoch", "epoch")
"""Columns shown as whole numbers if all their values are whole."""
_CHOICES: dict[str, Iterable[str]] = {
    "status": Status,
    "order": Action,
    "cell": CELLS,
    **CHOICES,
}
"""Column to its values, where they are fixed."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TableKind:
    """A table of a run.

    Attributes:
        dtypes: Its columns, in order, with their pandas types.
        keys: Columns that together identify a row.
        whole: Columns with a value in each row.
        later: Columns that earlier versions did not write, with their default values.
        is_optional: Whether a run may lack it, because it is old or not far enough.
    """

    dtypes: dict[str, str]
    keys: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    later: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    is_optional: bool = True

    def of(self, rows: Iterable[dict[str, Any]]) -> Table:
        """Return the table of some rows, without their other columns."""
        return _typed(pd.DataFrame(list(rows), columns=list(self.dtypes)), self.dtypes)

    def write(self, rows: Iterable[dict[str, Any]], path: Path) -> None:
        """Write the table of some rows, completely or not at all."""
        write_table(self.of(rows), path)

    def read(self, path: Path) -> Table:
        """Return the table; if it is optional and has no file, without rows.

        Raises:
            ConfigError: The file is missing, has other columns, or values that no run writes.
        """
        if self.is_optional and not path.exists():
            return self.of(())
        try:
            # Only an empty cell is missing: a baseline may be named NA.
            table = pd.read_csv(path, dtype=self.dtypes, keep_default_na=False, na_values=[""])
            later = {name: value for name, value in self.later.items() if name not in table}
            table = _typed(table.assign(**later)[list(self.dtypes)], self.dtypes)
            _check_values(table, self.keys, self.whole)
        except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
            raise ConfigError(
                f"a run's table must be readable: {path}: {first_line(error)}"
            ) from error
        return table


TRIAL_TABLE = TableKind(
    dtypes={
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
        "milliseconds_per_char": "Float64",
        "elapsed_seconds": "Float64",
        "search_seconds": "Float64",
        "error": "string",
    },
    keys=("number",),
    whole=("trial_id", *FIELD_NAMES, "epochs_run", "elapsed_seconds", "search_seconds"),
    later={**TrialConfig().to_dict(), "milliseconds_per_char": pd.NA},
    is_optional=False,
)
"""trials.csv: one row a trial, perhaps of before TrialConfig got its latest fields."""
EPOCH_TABLE = TableKind(
    dtypes={"trial_id": "string", "number": "Int64"} | dtypes_of(EpochRecord),
    keys=("number", "epoch"),
    whole=("trial_id", *SCORES, "elapsed_seconds", "search_seconds"),
    # Runs from before 2026-11-29 reported once per epoch.
    later={"report": pd.NA, "chars_trained": pd.NA},
    is_optional=False,
)
"""epochs.csv: one row a trial and report."""


def trials_frame(records: Iterable[TrialRecord]) -> pd.DataFrame:
    """Return one row a trial, in the order of their numbers; no trials give an empty frame."""
    ordered = sorted(records, key=lambda record: record.number)
    return TRIAL_TABLE.of(record.row() for record in ordered)


def epochs_frame(records: Iterable[TrialRecord]) -> pd.DataFrame:
    """Return one row a trial and report, by both."""
    ordered = sorted(records, key=lambda record: record.number)
    values_of = operator.attrgetter(*EPOCH_TABLE.dtypes)  # asdict takes twelve times as long
    return EPOCH_TABLE.of(
        dict(zip(EPOCH_TABLE.dtypes, values_of(epoch), strict=True))
        for record in ordered
        for epoch in record.epochs
    )


def _typed(table: pd.DataFrame, dtypes: dict[str, str]) -> pd.DataFrame:
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


def _check_values(table: pd.DataFrame, keys: Sequence[str], whole: Sequence[str]) -> None:
    """Refuse numbers that are none, cells without a value, and rows that are not one of a kind.

    Raises:
        ValueError: The rule that is broken.
    """
    floats = table.select_dtypes("Float64").astype("float64").abs()
    measured = floats.drop(columns=list(FIELD_NAMES), errors="ignore")  # settings may be as large
    if np.isinf(floats.to_numpy()).any() or (measured >= LARGEST_FLOAT).any(axis=None):
        raise ValueError(f"numbers must be finite and below {LARGEST_FLOAT:g}")
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
    for column in whole:
        if table[column].isna().any():
            raise ValueError(f"each row must have a value of {column}")


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


def config_of(row: Any) -> TrialConfig:
    """Return the configuration of a row of trials.csv, with the precision that it ran in."""
    return TrialConfig.from_dict(row[list(FIELD_NAMES)].to_dict())


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
