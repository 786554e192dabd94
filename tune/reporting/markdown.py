"""Tables as Markdown."""

import re

import pandas as pd

from model.system.terminal import printable


def section(title: str, table: pd.DataFrame, note: str = "") -> str:
    """Return a heading, a table and a note."""
    body = markdown(table) if not table.empty else "None."
    return "\n\n".join(part for part in (f"## {title}", body, note) if part)


def markdown(table: pd.DataFrame) -> str:
    """Return a table as Markdown: four digits after the point, empty where nothing is known."""
    rows = [[cell(value) for value in row] for row in table.itertuples(index=False)]
    lines = [list(table.columns), ["---"] * len(table.columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(value: object) -> str:
    """Return a value as the reports show it."""
    if value is None or value is pd.NA or value != value:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else escaped(str(value))


def escaped(text: str) -> str:
    r"""Return a text of somebody else's as one line of Markdown that shows it as it is.

    >>> print(escaped("<b>a|b</b>\n[link](x)"))
    &lt;b>a\|b&lt;/b> \[link](x)
    """
    one_line = printable(" ".join(text.split())).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`\[|])", r"\\\1", one_line)
