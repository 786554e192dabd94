"""finalists.csv: the best configurations and the baselines, trained anew with other seeds."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from tune.records import Status, TrialRecord, read_table, write_table

SEEDS_AT_MOST = 100
"""A finalist's key is its trial's number times this, plus the number of its seed."""

FINALIST_DTYPES = {
    "number": "Int64",
    "finalist_seed": "Int64",
    "baseline": "string",
    "status": "string",
    "epochs_run": "Int64",
    "best_epoch": "Int64",
    "val_bits_per_char": "Float64",
    "test_bits_per_char": "Float64",
    "elapsed_seconds": "Float64",
    "seed": "Int64",
    "error": "string",
}
"""Columns of finalists.csv, in order, with their pandas types."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FinalistRecord:
    """One training of one finalist; the fields are the columns of finalists.csv.

    Attributes:
        number: The trial that it trains anew.
        finalist_seed: Counts its trainings from 0.
        val_bits_per_char: Its best epoch's, None if it trained none.
        test_bits_per_char: The same network on the test passage, None if it did not end well.
    """

    number: int
    finalist_seed: int
    baseline: str | None
    status: str
    epochs_run: int
    best_epoch: int | None
    val_bits_per_char: float | None
    test_bits_per_char: float | None
    elapsed_seconds: float
    seed: int
    error: str | None

    @classmethod
    def of(cls, record: TrialRecord, test_bits_per_char: float | None) -> "FinalistRecord":
        """Take from a record of the finalists' history what the table has."""
        number, finalist_seed = divmod(record.number, SEEDS_AT_MOST)
        best = record.best
        return cls(
            number=number,
            finalist_seed=finalist_seed,
            baseline=record.baseline or None,
            status=record.status.value,
            epochs_run=len(record.epochs),
            best_epoch=best.epoch if best else None,
            val_bits_per_char=best.val_bits_per_char if best else None,
            test_bits_per_char=test_bits_per_char,
            elapsed_seconds=record.epochs[-1].elapsed_seconds if best else 0.0,
            seed=record.config.seed,
            error=record.error or None,
        )


def write_finalists(finalists: Iterable[FinalistRecord], path: Path) -> None:
    """Write finalists.csv whole or not at all."""
    rows = [dataclasses.asdict(finalist) for finalist in finalists]
    frame = pd.DataFrame(rows, columns=list(FINALIST_DTYPES)).astype(FINALIST_DTYPES)
    write_table(frame, path)


def read_finalists(path: Path) -> pd.DataFrame:
    """Return finalists.csv; without the file, no rows.

    Raises:
        ConfigError: It is damaged.
    """
    if not path.exists():
        return pd.DataFrame(columns=list(FINALIST_DTYPES)).astype(FINALIST_DTYPES)
    return read_table(path, FINALIST_DTYPES)


def test_scores(finalists: pd.DataFrame) -> dict[int, float]:
    """Return the scores on the test passage by the key of the finalist's history."""
    scored = finalists[finalists["test_bits_per_char"].notna()]
    keys = scored["number"] * SEEDS_AT_MOST + scored["finalist_seed"]
    return {
        int(key): float(bits) for key, bits in zip(keys, scored["test_bits_per_char"], strict=True)
    }


def summary(finalists: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """Return one row a finalist, best mean first.

    Args:
        finalists: finalists.csv.
        trials: trials.csv, for the values that the search saw.
    """
    ended = finalists[finalists["status"] == Status.COMPLETE.value]
    searched = trials.set_index("number")["val_bits_per_char"]
    rows = []
    for number, group in ended.groupby("number"):
        scores = group["val_bits_per_char"]
        rows.append(
            {
                "trial": number,
                "baseline": group["baseline"].fillna("").iloc[0],
                "seeds": len(group),
                "in the search": searched[number],
                "mean": scores.mean(),
                "deviation": scores.std(),
                "optimism": scores.mean() - searched[number],
                "test, mean": group["test_bits_per_char"].mean(),
                "test, deviation": group["test_bits_per_char"].std(),
            }
        )
    columns = ["trial", "baseline", "seeds", "in the search", "mean", "deviation", "optimism"]
    table = pd.DataFrame(rows, columns=[*columns, "test, mean", "test, deviation"])
    return table.sort_values(["mean", "trial"], ignore_index=True)
