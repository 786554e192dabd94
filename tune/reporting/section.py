"""A section of a report as data, its values in words, and its Markdown.

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
        alt: What it shows, for those who do not see it.
        data: Traces of plotly.js.
        layout: Layout of plotly.js, without what all figures share.
        height: In pixels.
        min_width: In pixels; a narrower screen scrolls it.
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

    Markdown has the title, the body and the parts; a section without body and parts is left out
    there. The page has the caption and the figures too: where there are figures, the body is
    folded below them, under the title. Parts are always folded on the page.

    Attributes:
        title: Plain text.
        body: Tables and paragraphs, in order. Paragraphs are Markdown, in which texts from
            outside the code are `escaped` or `verbatim`.
        page_title: Heading on the page; empty is the title.
        caption: Markdown above the figures.
        draw: Returns the figures. A function, since they take seconds that report.md has no
            use for.
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
"""Format of a column's floats; the others have four significant digits."""


def shown(value: object, spec: str = ".4f") -> str:
    """Return a value in words: floats by a format, an empty text for a missing value.

    >>> shown(1.96081), shown(512), shown(None), shown(0.907, ".1%")
    ('1.9608', '512', '', '90.7 %')
    """
    if value is None or value is pd.NA or value != value:
        return ""
    return format(value, spec).replace("%", " %") if isinstance(value, float) else str(value)


def shown_in(column: str, value: object) -> str:
    """Return a value of a table's column in words."""
    return shown(value, ".1%" if column.endswith("_share") else _FORMATS.get(column, ".4g"))


def spread(mean: float, deviation: float) -> str:
    """Return a mean and its deviation in words; empty without a mean.

    >>> spread(1.9608, 0.0084), spread(1.9608, float("nan"))
    ('1.9608 ± 0.0084', '1.9608')
    """
    return " ± ".join(filter(None, (shown(mean), shown(deviation))))


def escaped(text: str) -> str:
    r"""Return a text from outside the code as one line of Markdown that shows it as it is.

    >>> print(escaped("<b>a|b</b>\n[link](x) of __init__ and hidden_size"))
    &lt;b>a\|b&lt;/b> \[link](x) of \_\_init\_\_ and hidden_size
    """
    one_line = printable(" ".join(text.split())).replace("&", "&amp;").replace("<", "&lt;")
    # An underscore between letters or digits, as in a column's name, is no emphasis.
    return re.sub(r"([\\`*\[|]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", one_line)


def verbatim(text: str) -> str:
    """Return a text as a block of code, which Markdown shows as it is."""
    return "\n".join(f"    {line}" for line in printable(text).split("\n"))


def listed(items: Sequence[str]) -> str:
    """Return sentences as a list in Markdown."""
    return "\n".join(f"- {item}" for item in items)


def markdown(section: Section, level: int = 2) -> str:
    """Return a section as Markdown, its heading of a level."""
    body = (block if isinstance(block, str) else _table(block) for block in section.body)
    parts = (markdown(part, level + 1) for part in section.parts)
    return "\n\n".join([f"{'#' * level} {escaped(section.title)}", *body, *parts])


def _table(table: pd.DataFrame) -> str:
    if table.empty:
        return "None."
    rows = [[escaped(shown(value)) for value in row] for row in table.itertuples(index=False)]
    lines = [list(table.columns), ["---"] * len(table.columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
