"""Measures what a run's checkpoints write: against its own book, and the reference's passages."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from model.errors import CorpusError
from model.generation.copying import COPIED_CHARS
from model.generation.quality import (
    FIGURES,
    MAX_BOOK_CHARS,
    Measure,
    TextQuality,
    distance,
    mean_quality,
    pieces,
    words,
)
from model.generation.reference_passages import reference_passages
from model.generation.temperature import MAX_BOOK_PASSAGES, survey_temperatures, write_temperature
from model.generation.word_list import WordList, find_word_list
from model.text.cleaning import clean
from model.text.corpus import resolve_corpus
from model.text.streams import split_text
from model.training.checkpoint import load_checkpoint
from tune.records.quality_table import BOOK, CHECKPOINT, REFERENCE, QualityRecord
from tune.records.run_folder import RunFolder
from tune.records.tables import Table
from tune.reporting.markdown import markdown, section

BOOK_NAME = "the book, held out"
_TITLES = {
    "book_word_share": "book's words",
    "listed_word_share": "listed words",
    "distinct_word_share": "distinct words",
    "repeated_4gram_share": "repeated 4-grams",
    "loop_share": "in loops",
    "longest_copied_chars": "longest copy",
    "copied_40gram_share": f"copied {COPIED_CHARS}-grams",
    "own_bits_per_char": "own bits",
}


class Book:
    """The text of a run, to measure others against.

    Attributes:
        text: The raw text; None where it is not to be had any more.
        held_out: The validation passage, raw, its first MAX_BOOK_CHARS; None without the text.
        word_list: A list of words that fits it.
    """

    def __init__(self, text: str | None) -> None:
        split = None if text is None else split_text(text)
        self.text = text
        self.held_out = split.validation[:MAX_BOOK_CHARS] if split else None
        self._train = split.train[:MAX_BOOK_CHARS] if split else None
        self._measures: dict[str, Measure] = {}
        self.word_list: WordList | None = None
        if self._train is not None:
            self.word_list = find_word_list(words(self._train))

    @classmethod
    def of_run(cls, folder: RunFolder) -> "Book":
        """Find the text of a run where study.json says that it is; one that has changed is not it.

        Raises:
            ConfigError: study.json is damaged.
        """
        corpus = folder.read_study().corpus
        try:
            found = resolve_corpus(corpus.location or corpus.name)
        except CorpusError:
            return cls(None)
        return cls(found.text if found.sha256 == corpus.sha256 else None)

    def measure(self, cleaning: str) -> Measure:
        """Return what measures texts of a cleaning; made once."""
        if cleaning not in self._measures:
            self._measures[cleaning] = Measure(
                self._train, cleaning=cleaning, word_list=self.word_list
            )
        return self._measures[cleaning]


def measure_run(folder: RunFolder, book: Book, *, top: int) -> list[QualityRecord]:
    """Measure what the best checkpoints write at each temperature, and the scale.

    The temperature at which a checkpoint is nearest to the book is written beside it.

    Args:
        folder: The run.
        book: Its text, which must be there.
        top: How many checkpoints write.

    Raises:
        CheckpointError: A checkpoint is damaged.
    """
    records = []
    for rank, path in enumerate(folder.checkpoints()[:top], start=1):
        records += _of_checkpoint(rank, path, book)
    return records + _of_reference(book)


def _of_checkpoint(rank: int, path: Path, book: Book) -> list[QualityRecord]:
    assert book.held_out is not None
    model, meta = load_checkpoint(path)
    config = meta.config
    survey = survey_temperatures(
        model, meta.vocabulary, config, book.measure(config.cleaning), book.held_out
    )
    write_temperature(path, survey.nearest)
    record = functools.partial(
        QualityRecord,
        checkpoint=rank,
        cleaning=config.cleaning,
        word_list=book.word_list.name if book.word_list else None,
    )
    written = [
        record(
            writer=CHECKPOINT,
            name=f"checkpoint {rank}",
            temperature=temperature,
            passages=survey.num_passages,
            quality=quality,
            distance=survey.distances[temperature],
            nearest=temperature == survey.nearest,
        )
        for temperature, quality in survey.by_temperature.items()
    ]
    of_book = record(
        writer=BOOK,
        name=BOOK_NAME,
        temperature=None,
        passages=len(survey.book),
        quality=mean_quality(survey.book),
        distance=None,
        nearest=False,
    )
    return [*written, of_book]


def _of_reference(book: Book) -> list[QualityRecord]:
    """Measure the reference's passages where the text is their book; bits are not known."""
    assert book.text is not None and book.held_out is not None
    records = []
    for passage in reference_passages(book.text[:MAX_BOOK_CHARS]):
        measure = book.measure(passage.cleaning)
        length = len(passage.text)
        of_book = pieces(clean(book.held_out, passage.cleaning), length, MAX_BOOK_PASSAGES)
        quality = measure(passage.text)
        records.append(
            QualityRecord(
                writer=REFERENCE,
                name=f"the reference's {passage.name}",
                checkpoint=None,
                cleaning=passage.cleaning,
                temperature=0.0,
                passages=1,
                quality=quality,
                distance=distance(quality, [measure(piece) for piece in of_book]),
                nearest=False,
                word_list=book.word_list.name if book.word_list else None,
            )
        )
    return records


def passage_figures(qualities: Mapping[str, TextQuality | None]) -> str:
    """Return a table of the figures of some texts, by what each is called."""
    rows = [
        {"": name, **figures(quality)}
        for name, quality in qualities.items()
        if quality is not None
    ]
    return markdown(pd.DataFrame(rows))


def figures(quality: TextQuality) -> dict[str, str]:
    """Return the figures of a text as people read them, by their titles; empty is not known."""
    values = dataclasses.asdict(quality)
    return {_TITLES[name]: _shown(name, value) for name, value in values.items()}


def best_temperature_line(table: Table) -> str:
    """Return which temperature the best checkpoint writes at, and why; empty if not measured."""
    rows = table[(table["checkpoint"] == 1) & (table["writer"] == CHECKPOINT)]
    if rows.empty:
        return ""
    nearest = rows[rows["nearest"]].iloc[0]
    if len(rows) == 1:
        return (
            f"temperature {nearest['temperature']:g}, the only one measured "
            f"(distance from the book {nearest['distance']:.1f})"
        )
    tried = ", ".join(f"{temperature:g}" for temperature in rows["temperature"])
    return (
        f"temperature {nearest['temperature']:g}: of {tried}, where its text is most like the "
        f"book's (distance {nearest['distance']:.1f})"
    )


def temperatures_section(table: Table) -> list[str]:
    """Return what quality.csv says, as a section; nothing where it has no rows."""
    if table.empty:
        return []
    rows = []
    for _, row in table.iterrows():
        temperature = "" if pd.isna(row["temperature"]) else f"{row['temperature']:g}"
        rows.append(
            {
                "": _name(row),
                "cleaning": row["cleaning"],
                "temperature": f"{temperature}, nearest" if row["nearest"] else temperature,
                "passages": str(row["passages"]),
                **figures(TextQuality(**{name: _plain(row[name]) for name in FIGURES})),
                "distance": "" if pd.isna(row["distance"]) else f"{row['distance']:.1f}",
            }
        )
    listed = table["word_list"].iloc[0]
    words = "no list of words fits this text" if pd.isna(listed) else f"listed words: {listed}"
    note = (
        "Means over passages of the same length. The distance is from the book's own passages "
        "that no network has learnt, in standard deviations among these. `nearest` is the "
        "temperature that is lowest on a parabola through the distances: one distance alone "
        "scatters, so another may be smaller (results/README.md). Own bits are what the "
        f"checkpoint's network spends on a text, per character. {words[0].upper()}{words[1:]}."
    )
    if (table["writer"] == REFERENCE).any():
        note += " The reference's passages are those of its page, written greedily."
    return [section("At each temperature", pd.DataFrame(rows), note)]


def _name(row: Any) -> str:
    return f"{row['name']}, by {row['checkpoint']}" if row["writer"] == BOOK else str(row["name"])


def _plain(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return ""
    if name.endswith("_share"):
        return f"{100 * value:.1f} %"
    return f"{value:.0f}" if name == "longest_copied_chars" else f"{value:.2f}"
