"""quality.csv: figures of the best checkpoints' text and of the book's."""

import dataclasses
from typing import Any

from model.generation.quality import TextQuality
from tune.records.tables import Table, TableKind, dtypes_of

CHECKPOINT, BOOK, REFERENCE = "checkpoint", "book", "reference"
"""Writers: a kept checkpoint, the book's author, or one of the reference's networks."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class QualityRecord:
    """The figures of one writer's passages; each field but `quality` is a column.

    Attributes:
        writer: CHECKPOINT, BOOK or REFERENCE.
        name: Its name in words.
        checkpoint: Rank of the kept checkpoint that wrote the text or scored the book's (0 is the
            predictor); None for the reference.
        cleaning: How the text is cleaned.
        temperature: Sampling temperature, None for text that was not sampled.
        passages: Number of passages measured.
        quality: The means of their figures.
        distance: From the book; None for the book.
        nearest: Whether its checkpoint is nearest to the book at this temperature.
        word_list: The word list, None if none fits the book.
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
"""quality.csv: one row per QualityRecord."""


def nearest_temperature(table: Table, checkpoint: int) -> float | None:
    """Return the temperature at which a checkpoint writes most like the book, if measured."""
    rows = table[(table["checkpoint"] == checkpoint) & table["nearest"]]
    return None if rows.empty else float(rows["temperature"].iloc[0])


def measured_temperatures(table: Table, checkpoint: int) -> list[float]:
    """Return the temperatures at which a checkpoint was measured; none if it was not."""
    rows = table[(table["checkpoint"] == checkpoint) & (table["writer"] == CHECKPOINT)]
    return [float(temperature) for temperature in rows["temperature"]]
