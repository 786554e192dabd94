"""What the pictures of report.html share: figures of plotly.js, colours, symbols, scales.

A figure is plain data: plotly.js draws it in the browser, and a test has plotly.js check it.
A colour is the name of a CSS variable of the page, so it follows the reader's light or dark.
Hues are those of Okabe & Ito 2008, "Color Universal Design"; each kind of trial has a symbol
of its own too.
"""

import dataclasses
import html
import math
import textwrap
from typing import Any

import pandas as pd

from search_spaces import SearchSpace
from tune.records.tables import ranked
from tune.records.trial import Status

WINNER, BASELINE = "WINNER", "BASELINE"
SCORE = "val_bits_per_char"
SCORE_TITLE = "bits per character"
MANY = 200
"""So many trials are drawn finer."""
TRIAL_TEXT = "trial"
"""As a trace's text: the page puts there what it says of the trials in its customdata."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One picture of the page.

    Attributes:
        name: Its id in the page.
        alt: What it shows, for those who do not see it.
        data: Traces of plotly.js.
        layout: Layout of plotly.js, without what all pictures share.
        height: In pixels.
        min_width: In pixels; a narrower screen scrolls it.
    """

    name: str
    alt: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    height: int = 360
    min_width: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Style:
    label: str
    colour: str
    symbol: str
    size: int = 7


STYLES = {
    Status.PRUNED: _Style(
        label="stopped by ASHA", colour="--pruned", symbol="circle-open", size=6
    ),
    Status.STOPPED: _Style(label="cut off", colour="--stopped", symbol="square-open"),
    Status.RUNNING: _Style(label="running", colour="--running", symbol="triangle-up-open"),
    Status.DIVERGED: _Style(label="diverged", colour="--failed", symbol="x"),
    Status.FAILED: _Style(label="failed", colour="--failed", symbol="cross"),
    Status.COMPLETE: _Style(label="finished", colour="--complete", symbol="circle"),
    BASELINE: _Style(label="baseline", colour="--baseline", symbol="diamond", size=11),
    WINNER: _Style(label="winner", colour="--winner", symbol="star", size=15),
}
"""How each kind of trial looks; drawn in this order, so the last lie on top."""


def kinds_of(trials: pd.DataFrame) -> dict[int, str]:
    """Return of each trial, by number, the key of its style: winner, baseline, or its status."""
    columns = (trials[name].tolist() for name in ("number", "status", "baseline"))
    kinds = {
        number: status if pd.isna(baseline) else BASELINE
        for number, status, baseline in zip(*columns, strict=True)
    }
    for number in ranked(trials[["number", SCORE]])["number"].head(1):
        kinds[number] = WINNER
    return kinds


def by_kind(points: pd.DataFrame, kinds: dict[int, str]) -> list[tuple[str, pd.DataFrame]]:
    """Return the rows of each kind of trial, in the order in which they are drawn.

    Args:
        points: Rows with `number`.
        kinds: What `kinds_of` gave.
    """
    of_points = pd.Series([kinds[number] for number in points["number"]], index=points.index)
    groups = {str(kind): group for kind, group in points.groupby(of_points)}
    return [(kind, groups[kind]) for kind in STYLES if kind in groups]


def score_range(trials: pd.DataFrame, floor: float) -> list[float]:
    """Return what an axis of scores shows: best, floor, baselines and three in four trials."""
    values = trials[SCORE].dropna().astype(float)
    baselines = trials[trials["baseline"].notna()][SCORE].dropna().astype(float)
    low = min(float(values.min()), floor)
    high = max(float(values.quantile(0.75)), floor, *baselines)
    margin = 0.06 * (high - low) + 0.01
    return [round(low - margin, 4), round(high + margin, 4)]


def floor_line(floor: float, *, upright: bool = False) -> dict[str, Any]:
    """Return the shapes and annotations of a layout that has the floor as a line."""
    along, across = ("y", "x") if upright else ("x", "y")
    line = {
        "type": "line",
        "layer": "below",
        f"{along}ref": "paper",
        f"{across}ref": across,
        f"{along}0": 0,
        f"{along}1": 1,
        f"{across}0": floor,
        f"{across}1": floor,
        "line": {"color": "--floor", "width": 1.5, "dash": "dash"},
    }
    label = {
        "text": "n-gram floor",
        "showarrow": False,
        f"{along}ref": "paper",
        f"{across}ref": across,
        across: round(floor, 4),
        along: 1,
        "font": {"size": 11, "color": "--muted"},
        **(
            {"yanchor": "top", "xanchor": "left", "xshift": 3} if upright else {"xanchor": "right"}
        ),
        **({} if upright else {"yanchor": "bottom"}),
    }
    return {"shapes": [line], "annotations": [label]}


def log_ticks(low: float, high: float) -> dict[str, Any]:
    """Return the ticks 1, 2, 5, 10, ... of a logarithmic axis; each number on a short one."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    digits = range(1, 10) if high <= 10 * low else (1, 2, 5)
    ticks = [digit * 10.0**decade for decade in decades for digit in digits]
    inside = [float(f"{tick:.1g}") for tick in ticks if low * 0.8 <= tick <= high * 1.25]
    return {"tickvals": inside, "ticktext": [f"{tick:,g}" for tick in inside]}


def numbers(values: pd.Series, digits: int = 4) -> list[float | None]:
    """Return a column as JSON has it: rounded, null where nothing is known."""
    plain = values.astype(float).round(digits)
    whole = digits == 0
    return [
        None if math.isnan(value) else int(value) if whole else value for value in plain.tolist()
    ]


def time_unit(seconds: float) -> tuple[float, str]:
    """Return the unit for a duration: its seconds and its name."""
    if seconds < 180:
        return 1.0, "seconds"
    return (60.0, "minutes") if seconds < 3 * 3_600 else (3_600.0, "hours")


def escaped(text: object) -> str:
    """Return a text that plotly.js shows as it is: it takes tags for its own markup."""
    return html.escape(str(text), quote=False)


def wrapped(text: str) -> str:
    """Return a label in lines of 16 characters or less, but for longer words."""
    words = " ".join(text.split())
    lines = textwrap.wrap(words, 16, break_long_words=False, break_on_hyphens=False)
    return "<br>".join(escaped(line) for line in lines)


def trial_texts(trials: pd.DataFrame, space: SearchSpace) -> dict[int, str]:
    """Return what the pictures say of each trial, by number."""
    columns = ["number", "baseline", SCORE, "epochs_run", "epochs", *space.axes]
    rows = trials[list(dict.fromkeys(columns))].astype(object).to_dict("records")
    return {row["number"]: _trial_text(row, space) for row in rows}


def _trial_text(row: dict[Any, Any], space: SearchSpace) -> str:
    name = f"trial {row['number']}" + (f", {row['baseline']}" if pd.notna(row["baseline"]) else "")
    score = f": {row[SCORE]:.4f}" if pd.notna(row[SCORE]) else ""
    settings = [
        f"{axis} {row[axis]:.3g}" if isinstance(row[axis], float) else f"{axis} {row[axis]}"
        for axis in space.axes
    ]
    pairs = [", ".join(settings[at : at + 2]) for at in range(0, len(settings), 2)]
    lines = [f"{name}{score}", *pairs, f"{row['epochs_run']} of {row['epochs']} epochs trained"]
    return "<br>".join(escaped(line) for line in lines)


def marked(kind: str) -> dict[str, Any]:
    """Return the name and the marker of a trace of trials of one kind."""
    style = STYLES[kind]
    return {
        "name": style.label,
        "marker": {"color": style.colour, "symbol": style.symbol, "size": style.size},
    }


def have_axis(trials: pd.DataFrame, axis: str, space: SearchSpace) -> list[bool]:
    """Return which trials have an axis: it may exist only where another has a value."""
    if axis not in space.conditions:
        return [True] * len(trials)
    other, _ = space.conditions[axis]
    return [space.exists(axis, {other: value}) for value in trials[other]]
