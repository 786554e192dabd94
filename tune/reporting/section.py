"""A section of a report as data, the format of its values, and its Markdown.

The page renders the same sections as HTML (page.py).
"""

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from model.system.terminal import printable


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One figure of the page.

    Attributes:
        name: Its id in the page.
        alt: Alternative text for screen readers.
        data: Traces of plotly.js.
        layout: Layout of plotly.js, without what all figures share.
        height: In pixels.
        min_width: In pixels; on a narrower screen, it scrolls.
    """

    name: str
    alt: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    height: int = 360
    min_width: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Section:
    """One section of a run's reports.

    Markdown has the title, the body and the parts, and leaves out a section that has neither body
    nor parts. The page adds the caption and the figures; if there are figures, the body is folded
    below them, under the title. Parts are always folded on the page.

    Attributes:
        title: Plain text.
        body: Tables and paragraphs, in order. Paragraphs are Markdown; text from outside the code
            in them is `escaped` or `verbatim`.
        page_title: Heading on the page; if empty, the title.
        caption: Markdown above the figures.
        draw: Returns the figures. A function, because figures take seconds and report.md needs
            none.
        parts: Sections of the next level.
    """

    title: str
    body: Sequence[pd.DataFrame | str] = ()
    page_title: str = ""
    caption: str = ""
    draw: Callable[[], Sequence[Picture]] | None = None
    parts: Sequence["Section"] = ()

    @property
    def heading(self) -> str:
        """Heading on the page."""
        return self.page_title or self.title


_FORMATS = {
    "elapsed_seconds": ".1f",
    **dict.fromkeys(("val_bits_per_char", "val_own_bits_per_char"), ".4f"),
    "longest_copied_chars": ".0f",
    "own_bits_per_char": ".2f",
    "distance": ".1f",
}
"""Formats of columns with floats; others have four significant digits."""


def shown(value: object, spec: str = ".4f") -> str:
    """Return a value as text: floats in a format, a missing value as an empty string.

    >>> shown(1.96081), shown(512), shown(None), shown(0.907, ".1%")
    ('1.9608', '512', '', '90.7 %')
    """
    if value is None or value is pd.NA or value != value:
        return ""
    return format(value, spec).replace("%", " %") if isinstance(value, float) else str(value)


def shown_in(column: str, value: object) -> str:
    """Return a value of a table's column as text."""
    return shown(value, ".1%" if column.endswith("_share") else _FORMATS.get(column, ".4g"))


def spread(mean: float, deviation: float) -> str:
    """Return a mean ± its standard deviation as text; empty without a mean.

    >>> spread(1.9608, 0.0084), spread(1.9608, float("nan"))
    ('1.9608 ± 0.0084', '1.9608')
    """
    return " ± ".join(filter(None, (shown(mean), shown(deviation))))


def escaped(text: str) -> str:
    r"""Return a text from outside the code as one line of Markdown that shows it literally.

    >>> print(escaped("<b>a|b</b>\n[link](x) of __init__ and hidden_size"))
    &lt;b>a\|b&lt;/b> \[link](x) of \_\_init\_\_ and hidden_size
    """
    one_line = printable(" ".join(text.split())).replace("&", "&amp;").replace("<", "&lt;")
    # An underscore between letters or digits, as in a column's name, does not emphasise.
    return re.sub(r"([\\`*\[|]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", one_line)


def verbatim(text: str) -> str:
    """Return a text as a code block, which Markdown shows literally."""
    return "\n".join(f"    {line}" for line in printable(text).split("\n"))


def listed(items: Sequence[str]) -> str:
    """Return sentences as a Markdown list."""
    return "\n".join(f"- {item}" for item in items)


def markdown(section: Section, level: int = 2) -> str:
    """Return a section as Markdown, with its heading at a level."""
    body = (block if isinstance(block, str) else _table(block) for block in section.body)
    parts = (markdown(part, level + 1) for part in section.parts)
    return "\n\n".join([f"{'#' * level} {escaped(section.title)}", *body, *parts])


def _table(table: pd.DataFrame) -> str:
    if table.empty:
        return "None."
    rows = [[escaped(shown(value)) for value in row] for row in table.itertuples(index=False)]
    lines = [list(table.columns), ["---"] * len(table.columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
