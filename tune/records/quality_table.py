"""quality.csv: the figures of what the best checkpoints write, beside the book's own."""

import dataclasses
from typing import Any

from model.generation.quality import TextQuality
from tune.records.tables import Table, TableKind, dtypes_of

CHECKPOINT, BOOK, REFERENCE = "checkpoint", "book", "reference"
"""Who wrote: a kept checkpoint, the book's author, one of the reference's networks."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class QualityRecord:
    """The figures of some passages of one writer; but for `quality`, a field is a column.

    Attributes:
        writer: CHECKPOINT, BOOK or REFERENCE.
        name: Which of them, for people.
        checkpoint: Rank of the kept checkpoint that wrote, 0 is the predictor, or whose network
            the bits of the book's passages are of; None for the reference.
        cleaning: How the text is cleaned.
        temperature: At which it was drawn, None where it was not.
        passages: How many were measured.
        quality: The means of their figures.
        distance: From the book; None for the book.
        nearest: Whether it is the temperature of its checkpoint that is nearest to the book.
        word_list: The list of words, None where none fits the book.
    """

    writer: str
    name: str
    checkpoint: int | None = None
    cleaning: str
    temperature: float | None = None
    passages: int
    quality: TextQuality
    distance: float | None = None
    nearest: bool = False
    word_list: str | None = None

    def row(self) -> dict[str, Any]:
        """Return its row of quality.csv."""
        values = dataclasses.asdict(self)
        return {**values.pop("quality"), **values}


QUALITY_TABLE = TableKind(dtypes=dtypes_of(QualityRecord))
"""quality.csv: one row a QualityRecord."""


def nearest_temperature(table: Table, checkpoint: int) -> float | None:
    """Return the temperature at which a checkpoint writes most like the book, if measured."""
    rows = table[(table["checkpoint"] == checkpoint) & table["nearest"]]
    return None if rows.empty else float(rows["temperature"].iloc[0])


def measured_temperatures(table: Table, checkpoint: int) -> list[float]:
    """Return the temperatures at which a checkpoint was measured; none if it was not."""
    rows = table[(table["checkpoint"] == checkpoint) & (table["writer"] == CHECKPOINT)]
    return [float(temperature) for temperature in rows["temperature"]]
