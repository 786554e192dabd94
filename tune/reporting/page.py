"""report.html: a run as one page, made from its tables alone.

It is one file that loads nothing from the network. Everything from a text, a name or an error is
escaped: by Jinja in the page, by its `tojson` in scripts, and by markdown-it in Markdown, without
links and images. Control characters are made visible. As a second line of defence, the page's
content security policy allows only scripts with the listed hashes, and no address to load from.
"""

import base64
import hashlib
import re
from typing import Any

import jinja2
from markdown_it import MarkdownIt
from markupsafe import Markup

from model.system.files import write_text
from model.system.terminal import printable
from tune.records.load import LoadedRun
from tune.records.run_folder import RunFolder
from tune.reporting.against import compared_fields
from tune.reporting.contents import sections_of
from tune.reporting.figures.base import SCORE, trial_texts
from tune.reporting.headline import described, facts, headline, title
from tune.reporting.samples_section import passage_figures, samples_section, unparsed_samples
from tune.reporting.section import shown, shown_in

PLOTLY = "plotly-basic-4.1.1.min.js"
"""The plotly.js bundle of scatter, bar and pie: 1.2 MB instead of 4.8 MB for all of it."""
_COLUMNS = ("number", SCORE, "status", "baseline")
_LATER_COLUMNS = (
    *("epochs_run", "best_epoch", "val_own_bits_per_char", "num_parameters"),
    *("elapsed_seconds", "error"),
)


def write_page(run: LoadedRun, folder: RunFolder) -> None:
    """Write report.html of a run into a folder."""
    write_text(folder.page_file, page_text(run, folder))


def page_text(run: LoadedRun, folder: RunFolder | None = None) -> str:
    """Return the page of a run.

    Args:
        run: The run.
        folder: Its folder, if it is here: a run without samples.json may have samples.md.
    """
    sections = sections_of(run)
    passage = None
    if run.samples is not None:
        sections.append(samples_section(run.samples, run.quality))
        passage = next(iter(run.samples.passages), None)
    elif folder is not None and folder.samples_file.exists():
        text = folder.samples_file.read_text(encoding="utf-8", errors="replace")
        sections += [unparsed_samples(text)] if text else []
    rows, columns = _table(run)
    drawn = [(section, section.draw() if section.draw else []) for section in sections]
    loader = jinja2.PackageLoader("tune.reporting")
    environment = _environment(loader)
    plotly, script, style = (
        Markup(loader.get_source(environment, name)[0])
        for name in (PLOTLY, "report.js", "report.css")
    )
    return environment.get_template("report.html.jinja").render(
        study=run.study,
        title=title(run),
        headline=headline(run),
        described=described(run),
        facts=facts(run),
        passage=passage,
        passage_figures=None if passage is None else passage_figures(passage),
        trial_texts=trial_texts(run),
        columns=columns,
        rows=rows,
        sections=drawn,
        figures={
            picture.name: {"data": picture.data, "layout": picture.layout}
            for _, pictures in drawn
            for picture in pictures
        },
        plotly=plotly,
        script=script,
        style=style,
        policy=_policy(plotly, script),
    )


def _environment(loader: jinja2.BaseLoader) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=loader,
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
    return environment


def _policy(*scripts: str) -> str:
    """Return the content security policy of a page with these scripts and no others."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(map(_hash, scripts))}",
            "style-src 'unsafe-inline'",
            "img-src data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _table(run: LoadedRun) -> tuple[list[list[str]], list[str]]:
    """Return the rows of the table of all trials, best first, and its columns."""
    trials = run.trials.sort_values([SCORE, "number"], na_position="last")
    columns = [*_COLUMNS, *compared_fields(run), *_LATER_COLUMNS]
    columns = [c for c in dict.fromkeys(columns) if c in _COLUMNS[:3] or trials[c].notna().any()]
    rows = [[shown_in(c, row[c]) for c in columns] for row in trials.to_dict("records")]
    return rows, columns


def _printable(value: Any) -> Any:
    """Return a value as the template prints it; markup is left alone."""
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return printable(value) if is_text else value


def _html(markdown: str) -> Markup:
    """Return Markdown as HTML; HTML, links and images in it stay text."""
    parser = MarkdownIt("commonmark", {"html": False})
    parser.disable(["link", "image", "autolink", "reference"])
    return Markup(parser.render(printable(markdown)))


def _hash(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _anchor(title: str) -> str:
    """Return the id of a section, distinct from all figures' ids."""
    return "section-" + re.sub(r"\W+", "-", title.lower()).strip("-")


def _breakable(name: str) -> Markup:
    """Return a column's name with a possible line break after each word."""
    return Markup("_<wbr>").join(name.split("_"))
