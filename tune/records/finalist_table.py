"""finalists.csv: the best configurations and the baselines, trained again with other seeds."""

import dataclasses
from typing import Any

import pandas as pd

from tune.records.study_file import SEEDS_AT_MOST
from tune.records.tables import Table, TableKind, dtypes_of
from tune.records.trial import TrialRecord


def finalist_key(number: int, seed_number: int) -> int:
    """Return the number that a trial's training with a seed has in the finalists' history."""
    return number * SEEDS_AT_MOST + seed_number


def finalist_of(key: int) -> tuple[int, int]:
    """Return a key's trial and its seed's number."""
    return divmod(key, SEEDS_AT_MOST)


def finalist_name(key: int) -> str:
    """Return the name of a finalist's training."""
    number, seed_number = finalist_of(key)
    return f"trial {number} again, seed {seed_number + 1}"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TestPassageScores:
    """A finalist's scores on the test passage; the fields are columns, None if unknown.

    Attributes:
        test_bits_per_char: Restored bits per raw character.
        test_bits_per_letter: Bits per letter, marginalised over what cleanings drop (letters.py).
        letter_particles: Particles of this estimate.
        test_bits_per_letter_quarter: The same with a quarter of the particles.
        test_bits_per_letter_sixteenth: The same with a sixteenth of them.
        test_bits_per_char_dynamic: As test_bits_per_char, with dynamic evaluation (dynamic.py);
            only for the winner's first training.
        dynamic_seconds: Seconds that it took.
        test_bits_per_char_cold: As test_bits_per_char, of windows without context, if published
            figures use them; only for the winner's first training.
    """

    __test__ = False  # pytest takes the name for a test's

    test_bits_per_char: float | None = None
    test_bits_per_letter: float | None = None
    letter_particles: int | None = None
    test_bits_per_letter_quarter: float | None = None
    test_bits_per_letter_sixteenth: float | None = None
    test_bits_per_char_dynamic: float | None = None
    dynamic_seconds: float | None = None
    test_bits_per_char_cold: float | None = None


SCORE_COLUMNS = tuple(field.name for field in dataclasses.fields(TestPassageScores))
FINALIST_TABLE = TableKind(
    dtypes={
        "number": "Int64",
        "finalist_seed": "Int64",
        "baseline": "string",
        "status": "string",
        "epochs_run": "Float64",
        "best_epoch": "Float64",
        "val_bits_per_char": "Float64",
        **dtypes_of(TestPassageScores),
        "elapsed_seconds": "Float64",
        "seed": "Int64",
        "error": "string",
    },
    keys=("number", "finalist_seed"),
    later=dict.fromkeys(SCORE_COLUMNS[1:], pd.NA),
)
"""finalists.csv: one row a training."""


def finalist_row(record: TrialRecord, scores: TestPassageScores) -> dict[str, Any]:
    """Return a training's row of finalists.csv: a trial's row with the table's other columns.

    Args:
        record: The training, of the finalists' history.
        scores: Its network's.
    """
    number, finalist_seed = finalist_of(record.number)
    trained_again = {"number": number, "finalist_seed": finalist_seed}
    return record.row() | trained_again | dataclasses.asdict(scores)


def known_scores(finalists: Table) -> dict[int, TestPassageScores]:
    """Return the scores on the test passage by the key of the finalist's history."""
    keys = map(finalist_key, finalists["number"], finalists["finalist_seed"])
    rows = finalists[list(SCORE_COLUMNS)].astype(object)
    values = rows.where(rows.notna(), None).to_dict("records")
    return {
        int(key): TestPassageScores(**{str(name): value for name, value in row.items()})
        for key, row in zip(keys, values, strict=True)
    }
