"""What the plotly.js figures of report.html share: colours, symbols, scales, traces.

A figure is plain data: plotly.js draws it in the browser, and in a test plotly.js checks it.
A colour is the name of a CSS variable of the page, so it follows light and dark mode.
Hues are from Okabe & Ito 2008, "Color Universal Design"; each kind of trial also has its own
symbol.
"""

import dataclasses
import html
import math
import textwrap
from typing import Any

import pandas as pd

from model.system.terminal import printable
from search_spaces import SearchSpace
from tune.records.load import LoadedRun
from tune.records.tables import ranked
from tune.records.trial import Status
from tune.reporting.section import shown

WINNER, BASELINE = "WINNER", "BASELINE"
SCORE = "val_bits_per_char"
SCORE_TITLE = "bits per character"
MANY = 200
"""Number of trials above which lines are drawn without points."""
TRIAL_TEXT = "trial"
"""Text of a trace that the page replaces by the labels of the trials in its customdata."""


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
"""Styles of the kinds of trials, in drawing order: the last are on top."""


def kinds_of(trials: pd.DataFrame) -> dict[int, str]:
    """Return the key of each trial's style by number: winner, baseline, or status."""
    columns = (trials[name].tolist() for name in ("number", "status", "baseline"))
    kinds = {
        number: status if pd.isna(baseline) else BASELINE
        for number, status, baseline in zip(*columns, strict=True)
    }
    for number in ranked(trials[["number", SCORE]])["number"].head(1):
        kinds[number] = WINNER
    return kinds


def by_kind(points: pd.DataFrame, kinds: dict[int, str]) -> list[tuple[str, pd.DataFrame]]:
    """Return the rows of each kind of trial, in drawing order; `kinds` maps numbers to kinds."""
    of_points = pd.Series([kinds[number] for number in points["number"]], index=points.index)
    groups = {str(kind): group for kind, group in points.groupby(of_points)}
    return [(kind, groups[kind]) for kind in STYLES if kind in groups]


def score_range(run: LoadedRun) -> list[float]:
    """Return the range of a score axis: best, floor, baselines and three in four trials."""
    trials, floor = run.trials, run.study.floor_bits_per_char
    values = trials[SCORE].dropna().astype(float)
    baselines = trials[trials["baseline"].notna()][SCORE].dropna().astype(float)
    low = min(float(values.min()), floor)
    high = max(float(values.quantile(0.75)), floor, *baselines)
    margin = 0.06 * (high - low) + 0.01
    return [round(low - margin, 4), round(high + margin, 4)]


def floor_line(floor: float, *, upright: bool = False) -> dict[str, Any]:
    """Return the shapes and annotations of a layout with the floor as a line."""
    along, across = ("y", "x") if upright else ("x", "y")
    line = straight_line(across, floor, color="--floor", width=1.5, dash="dash")
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


def straight_line(axis: str, at: float, **style: Any) -> dict[str, Any]:
    """Return the shape of a line across the whole figure, at a value of the axis x or y."""
    along = "x" if axis == "y" else "y"
    return {
        "type": "line",
        "layer": "below",
        f"{along}ref": "paper",
        f"{axis}ref": axis,
        f"{along}0": 0,
        f"{along}1": 1,
        f"{axis}0": at,
        f"{axis}1": at,
        "line": style,
    }


def step_line(name: str, x: list[float | None], y: list[float | None]) -> dict[str, Any]:
    """Return the trace of a step line, which holds each value until the next."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": x,
        "y": y,
        "line": {"shape": "hv", "width": 2, "color": "--ink"},
        "hoverinfo": "skip",
    }


def log_ticks(low: float, high: float) -> dict[str, Any]:
    """Return the ticks 1, 2, 5, 10, ... of a logarithmic axis; every digit on a short one."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    digits = range(1, 10) if high <= 10 * low else (1, 2, 5)
    ticks = [digit * 10.0**decade for decade in decades for digit in digits]
    inside = [float(f"{tick:.1g}") for tick in ticks if low * 0.8 <= tick <= high * 1.25]
    return {"tickvals": inside, "ticktext": [f"{tick:,g}" for tick in inside]}


def numbers(values: pd.Series, digits: int = 4) -> list[float | None]:
    """Return a column for JSON: rounded, and null if unknown."""
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
    """Return a text that plotly.js shows literally; it would interpret tags as markup."""
    return html.escape(printable(str(text)), quote=False)


def wrapped(text: str) -> str:
    """Return a label in lines of at most 16 characters, except for longer words."""
    words = " ".join(text.split())
    lines = textwrap.wrap(words, 16, break_long_words=False, break_on_hyphens=False)
    return "<br>".join(escaped(line) for line in lines)


def trial_texts(run: LoadedRun) -> dict[int, str]:
    """Return the label of each trial in the figures, by number."""
    columns = ["number", "baseline", SCORE, "epochs_run", "epochs", *run.space.axes]
    rows = run.trials[list(dict.fromkeys(columns))].astype(object).to_dict("records")
    return {row["number"]: _trial_text(row, run.space) for row in rows}


def _trial_text(row: dict[Any, Any], space: SearchSpace) -> str:
    name = f"trial {row['number']}" + (f", {row['baseline']}" if pd.notna(row["baseline"]) else "")
    score = f": {row[SCORE]:.4f}" if pd.notna(row[SCORE]) else ""
    settings = [f"{axis} {shown(row[axis], '.3g')}" for axis in space.axes]
    pairs = [", ".join(settings[at : at + 2]) for at in range(0, len(settings), 2)]
    epochs = f"{row['epochs_run']:g} of {row['epochs']:g} epochs trained"
    lines = [f"{name}{score}", *pairs, epochs]
    return "<br>".join(escaped(line) for line in lines)


def trial_points(
    kind: str, rows: pd.DataFrame, x: list[Any], *, pruned_opacity: float = 1.0
) -> dict[str, Any]:
    """Return a trace of trials of one kind, with a point at each score.

    Args:
        kind: Key of STYLES.
        rows: Rows with `number` and the score.
        x: Their values on the other axis.
        pruned_opacity: Opacity of trials that ASHA stopped, of which there may be many.
    """
    style = STYLES[kind]
    opacity = pruned_opacity if kind == Status.PRUNED else 1.0
    return {
        "type": "scatter",
        "mode": "markers",
        "name": style.label,
        "marker": {
            "color": style.colour,
            "symbol": style.symbol,
            "size": style.size,
            "opacity": opacity,
        },
        "x": x,
        "y": numbers(rows[SCORE]),
        **labelled(rows),
    }


def labelled(rows: pd.DataFrame) -> dict[str, Any]:
    """Return the part of a trace that labels its points with their trials."""
    return {
        "customdata": numbers(rows["number"], 0),
        "text": TRIAL_TEXT,
        "hovertemplate": "%{text}<extra></extra>",
    }
