"""Renders report.html from its sections: one file that asks for nothing on the network.

Everything that comes from a text, a name or an error is escaped: by Jinja in the page, by its
`tojson` in scripts, by markdown-it in Markdown, of which links and pictures are not taken; control
characters are made visible. The page's own policy forbids what should slip through: it names the
hashes of the only scripts that may run, and no address from which anything may be loaded.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any

import jinja2
from markdown_it import MarkdownIt
from markupsafe import Markup

from model.system.terminal import printable
from tune.reporting.section import Section, shown

PLOTLY = "plotly-basic-4.1.1.min.js"
"""plotly.js' bundle of scatter, bar and pie: 1.2 MB, where the whole has 4.8 MB."""
_FOLDER = "templates"


def render(sections: Sequence[Section], **values: Any) -> str:
    """Return the page.

    Args:
        sections: Its sections, in order.
        values: The template's other values.
    """
    plotly, script, style = (_text(name) for name in (PLOTLY, "report.js", "report.css"))
    drawn = [(section, section.draw() if section.draw else []) for section in sections]
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text),
        autoescape=True,
        finalize=_printable,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "anchor": _anchor,
        "breakable": _breakable,
        "markdown": _html,
        "shown": shown,
    }
    return environment.get_template("report.html.jinja").render(
        **values,
        sections=drawn,
        figures={
            picture.name: {"data": picture.data, "layout": picture.layout}
            for _, pictures in drawn
            for picture in pictures
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


def _printable(value: Any) -> Any:
    """Return a value as the template prints it; what is markup already is left alone."""
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return printable(value) if is_text else value


def _html(markdown: str) -> Markup:
    """Return Markdown as HTML; HTML, links and pictures in it stay text."""
    parser = MarkdownIt("commonmark", {"html": False})
    parser.disable(["link", "image", "autolink", "reference"])
    return Markup(parser.render(printable(markdown)))


def _text(name: str) -> str:
    return resources.files("tune.reporting").joinpath(_FOLDER, name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _anchor(title: str) -> str:
    """Return the id of a section, which no figure has."""
    return "section-" + re.sub(r"\W+", "-", title.lower()).strip("-")


def _breakable(name: str) -> Markup:
    """Return a column's name that may break after each of its words."""
    return Markup("_<wbr>").join(name.split("_"))
