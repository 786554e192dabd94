"""The figures of texts as Markdown tables, and what is said of them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pandas as pd

from model.generation.copying import COPIED_CHARS
from model.generation.quality import FIGURES, TextQuality
from tune.markdown import markdown, section
from tune.records.quality_table import BOOK, CHECKPOINT, REFERENCE
from tune.records.tables import Table

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
