"""Sample text from the best networks as a section: samples.md, and a part of the page."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pandas as pd

from model.generation.copying import COPIED_CHARS
from model.generation.quality import FIGURES, WORDLESS
from tune.records.quality_table import BOOK, CHECKPOINT, REFERENCE
from tune.records.samples_file import Passage, Samples
from tune.records.tables import Table
from tune.reporting.section import Section, escaped, shown, shown_in, verbatim

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


def samples_section(samples: Samples, quality: Table) -> Section:
    """Return the passages with their figures, and the figures at each temperature.

    Args:
        samples: The content of samples.json.
        quality: The table quality.csv.
    """
    parts = [
        Section(
            title=f"{rank}. {passage.caption}",
            body=(
                f"Sampled with {escaped(passage.how)}.",
                verbatim(passage.text),
                passage_figures(passage),
            ),
        )
        for rank, passage in enumerate(samples.passages, start=1)
    ]
    at_temperatures: list[pd.DataFrame | str] = []
    if not quality.empty:
        at_temperatures += [_temperatures_table(quality), _temperatures_note(quality)]
    if samples.at_temperatures:
        at_temperatures.append("Samples from the best of them:")
    for temperature, text in samples.at_temperatures:
        at_temperatures += [f"Temperature {temperature:g}:", verbatim(text)]
    if at_temperatures:
        parts.append(Section(title="At each temperature", body=at_temperatures))
    return _samples(("For more samples, run `python -m tune.samples`.",), parts)


def unparsed_samples(text: str) -> Section:
    """Return the section of a run without samples.json: its samples.md, verbatim."""
    return _samples((), [Section(title="samples.md", body=(verbatim(text),))])


def _samples(body: tuple[str, ...], parts: list[Section]) -> Section:
    title = "Samples from the best networks"
    return Section(title="Samples", body=body, page_title=title, parts=parts)


def passage_figures(passage: Passage) -> pd.DataFrame:
    """Return the figures of a passage and of the book."""
    qualities = {"this passage": passage.quality, BOOK_NAME: passage.book}
    rows = [
        {"": name, **_figures(dataclasses.asdict(quality))}
        for name, quality in qualities.items()
        if quality is not None
    ]
    return pd.DataFrame(rows)


def _figures(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the figures of a text as strings, by column title."""
    return {_TITLES[name]: shown_in(name, values[name]) for name in FIGURES}


def _temperatures_table(quality: Table) -> pd.DataFrame:
    rows = []
    for row in quality.to_dict("records"):
        of_book = f", by {row['checkpoint']}" if row["writer"] == BOOK else ""
        temperature = shown(row["temperature"], "g")
        rows.append(
            {
                "": f"{row['name']}{of_book}",
                "cleaning": row["cleaning"],
                "temperature": f"{temperature}, nearest" if row["nearest"] else temperature,
                "passages": row["passages"],
                **_figures({str(column): value for column, value in row.items()}),
                "distance": shown_in("distance", row["distance"]),
            }
        )
    return pd.DataFrame(rows)


def _temperatures_note(quality: Table) -> str:
    words = quality["word_list"].iloc[0]
    listed = "No word list fits this text" if pd.isna(words) else f"Word list: {words}"
    if quality["distinct_word_share"].isna().all():
        listed = f"Word figures are left out: {WORDLESS}"
    note = (
        "Figures are means over passages of the same length. `distance` is from held-out passages "
        "of the book, in standard deviations among these. `nearest` marks the temperature at the "
        "minimum of a parabola through the distances; single distances are noisy, so another may "
        "be smaller (results/README.md). `own bits` are the checkpoint's bits per character of "
        f"the text. {escaped(listed)}."
    )
    if (quality["writer"] == REFERENCE).any():
        note += " The reference's passages are from its page, generated greedily."
    return note


def best_temperature_line(quality: Table) -> str:
    """Return at which temperature the best checkpoint writes, and why; empty if not measured."""
    written = quality[quality["writer"] == CHECKPOINT]
    if written.empty:
        return ""
    rows = written[written["checkpoint"] == written["checkpoint"].min()]
    nearest = rows[rows["nearest"]].iloc[0]
    if len(rows) == 1:
        return (
            f"temperature {nearest['temperature']:g}, the only one measured "
            f"(distance from the book {nearest['distance']:.1f})"
        )
    tried = ", ".join(f"{temperature:g}" for temperature in rows["temperature"])
    return (
        f"temperature {nearest['temperature']:g}: of {tried}, the one where a parabola through "
        f"the distances from the book is lowest (its own distance: {nearest['distance']:.1f})"
    )
