"""Makes report.html from its parts: one file that asks for nothing on the network.

Everything that comes from a text, a name or an error is escaped: by Jinja in the page, by its
`tojson` in scripts, by markdown-it in Markdown, of which links and pictures are not taken. The
page's own policy forbids what should slip through: it names the hashes of the only scripts that
may run, and no address from which anything may be loaded.
"""

import base64
import dataclasses
import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import Any

import jinja2
from markdown_it import MarkdownIt
from markupsafe import Markup

from tune.reporting.figures.base import Picture

PLOTLY = "plotly-basic-4.1.1.min.js"
"""plotly.js' bundle of scatter, bar and pie: 1.2 MB, where the whole has 4.8 MB."""
_FOLDER = "templates"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One section of the page.

    Attributes:
        name: Its id, and what the table of contents calls it.
        title: Its heading.
        words: HTML of what it says, safe.
        pictures: Its pictures.
        folds: What is folded away at first: what unfolds it, and safe HTML.
    """

    name: str
    title: str
    words: Markup
    pictures: Sequence[Picture] = ()
    folds: Sequence[tuple[str, Markup]] = ()


def render(values: dict[str, Any], parts: Sequence[Part], more_pictures: Sequence[Picture]) -> str:
    """Return the page.

    Args:
        values: What else the template shows.
        parts: Its sections, in order.
        more_pictures: Pictures that stand outside of the sections.
    """
    plotly, script, style = (_text(name) for name in (PLOTLY, "report.js", "report.css"))
    pictures = [*more_pictures, *(picture for part in parts for picture in part.pictures)]
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    return environment.get_template("report.html.jinja").render(
        **values,
        parts=parts,
        figures={
            picture.name: {"data": picture.data, "layout": picture.layout} for picture in pictures
        },
        plotly=Markup(plotly),
        script=Markup(script),
        style=Markup(style),
        policy="; ".join(
            (
                "default-src 'none'",
                f"script-src {_hash(plotly)} {_hash(script)}",
                "style-src 'unsafe-inline'",
                "img-src data: blob:",
                "base-uri 'none'",
                "form-action 'none'",
            )
        ),
    )


def html_of(markdown: str) -> Markup:
    """Return Markdown as HTML; HTML, links and pictures in it stay text."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.disable(["link", "image", "autolink", "reference"])
    rendered = parser.render(markdown).replace("<table>", '<div class="wide"><table>')
    return Markup(rendered.replace("</table>", "</table></div>"))


def without_heading(section: str) -> str:
    """Return a section of report.md without its first line, which is its heading."""
    return section.partition("\n")[2].strip()


def _text(name: str) -> str:
    return resources.files("tune.reporting").joinpath(_FOLDER, name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _breakable(name: str) -> Markup:
    """Return a column's name that may break after each of its words."""
    return Markup("_<wbr>").join(name.split("_"))
