"""predictor.csv: scores of the best networks, the n-gram and the cache, together and alone."""

import dataclasses
from typing import Any

from tune.records.tables import Table, TableKind, dtypes_of

PREDICTOR, NGRAM, NETWORK, CACHE = "predictor", "n-gram", "network", "cache"
"""Kinds of rows: the whole, its members, and its cache of the text read so far."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PredictorRecord:
    """One row: the predictor, a member, or the cache. The fields are the columns.

    Attributes:
        kind: PREDICTOR, NGRAM, NETWORK or CACHE.
        name: Its name in words.
        number: Number of the trial whose configuration it has; None if unknown.
        weight: Its weight; 1 for the predictor. The cache has none, and no time.
        val_bits_per_char: Restored bits per raw character of the validation passage, on which the
            weights were fitted; in the cache's row, the predictor's score without its cache.
        test_bits_per_char: The same of the test passage.
        gain_bits_per_char: How much worse the predictor scores on the validation passage without
            it; for a member, without the cache and with the other weights refitted. None for the
            predictor.
        milliseconds_per_symbol: Time per symbol of a single passage.
    """

    kind: str
    name: str
    number: int | None = None
    weight: float | None = None
    val_bits_per_char: float
    test_bits_per_char: float
    gain_bits_per_char: float | None
    milliseconds_per_symbol: float | None = None


PREDICTOR_TABLE = TableKind(dtypes=dtypes_of(PredictorRecord), keys=("name",))
"""predictor.csv: one row per PredictorRecord."""


WITHOUT_CACHE = "test_bits_without_cache"
"""In `predictor_row`: the score on the test passage without its cache; None where it has none."""


def predictor_row(table: Table) -> dict[str, Any] | None:
    """Return the predictor's row by column, and WITHOUT_CACHE.

    None without a predictor, or without its two scores.
    """
    scored = table.dropna(subset=["val_bits_per_char", "test_bits_per_char"])
    rows = {str(row["kind"]): row for row in scored.to_dict("records")}
    if PREDICTOR not in rows:
        return None
    values = {str(column): value for column, value in rows[PREDICTOR].items()}
    return {**values, WITHOUT_CACHE: rows.get(CACHE, {}).get("test_bits_per_char")}
