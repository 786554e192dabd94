"""Figures of a search for report.html: scores over time and over epochs, and its workers."""

import math
from typing import Any

import pandas as pd

from model.config import whole
from tune.records.load import LoadedRun
from tune.records.trial import Status
from tune.reporting.figures.base import (
    BASELINE,
    MANY,
    SCORE,
    SCORE_TITLE,
    STYLES,
    WINNER,
    by_kind,
    floor_line,
    kinds_of,
    labelled,
    log_ticks,
    numbers,
    score_range,
    step_line,
    straight_line,
    time_unit,
    trial_points,
)
from tune.reporting.section import Picture

_GAP_SECONDS = 10.0
"""A trial that was silent for longer before an epoch started did not run in between."""
_OVERLAP_SECONDS = 1.0
"""Times are the driver's, which learns of an epoch shortly after its end."""


def best_so_far(run: LoadedRun) -> Picture:
    """Return each trial's score at the time it was reached, and the lowest so far."""
    trials, epochs = run.trials, run.epochs
    ordered = epochs.sort_values("search_seconds", ignore_index=True)
    divisor, unit = time_unit(float(ordered["search_seconds"].max()))
    # One of the two may have only whole numbers.
    reached = trials[["number", "best_epoch", SCORE]].astype({"best_epoch": "Float64"})
    reached = reached.merge(
        epochs[["number", "epoch", "search_seconds"]].astype({"epoch": "Float64"}),
        left_on=["number", "best_epoch"],
        right_on=["number", "epoch"],
    )
    data = [
        trial_points(kind, points, numbers(points["search_seconds"] / divisor, 3))
        for kind, points in by_kind(reached, kinds_of(trials))
    ]
    seconds = numbers(ordered["search_seconds"] / divisor, 3)
    line = step_line("best so far", seconds, numbers(ordered[SCORE].cummin()))
    return Picture(
        name="best-so-far",
        alt="The lowest score so far over the search's time, and each trial's own score.",
        data=[line, *data],
        layout={
            "xaxis": {
                "title": {"text": f"{unit} since the search's start"},
                "rangemode": "tozero",
            },
            "yaxis": {"title": {"text": SCORE_TITLE}, "range": score_range(run)},
            **floor_line(run.study.floor_bits_per_char),
        },
    )


def learning_curves(run: LoadedRun) -> Picture:
    """Return each trial's score after each epoch, with ASHA's rungs as vertical lines."""
    data = []
    ordered = run.epochs[["number", "epoch", SCORE]].sort_values(["number", "epoch"])
    for kind, curves in by_kind(ordered, kinds_of(run.trials)):
        # Gaps separate the curves, so the browser draws a thousand of them as one line.
        ends = (~curves["number"].duplicated(keep="last")).tolist()
        x, y, which = (
            _with_gaps(numbers(curves[column], digits), ends)
            for column, digits in (("epoch", 4), (SCORE, 4), ("number", 0))
        )
        style, above = STYLES[kind], kind in (WINNER, BASELINE)
        has_points = above or len(run.trials) <= MANY
        points = {"marker": {"size": 4, "symbol": style.symbol, "color": style.colour}}
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers" if has_points else "lines",
                **(points if has_points else {}),
                "name": style.label,
                "x": x,
                "y": y,
                "customdata": which,
                "line": {
                    "color": style.colour,
                    "width": 3 if kind == WINNER else 1.5 if has_points else 0.7,
                },
                "opacity": 1 if above else 0.45 if kind == Status.PRUNED else 0.7,
                "hovertemplate": (
                    f"trial %{{customdata}}, {style.label}, "
                    "epoch %{x}: %{y:.4f}<extra></extra>"
                ),
            }
        )
    an_epoch = run.space.base.reports_per_epoch
    low, high = score_range(run)
    rungs, floor = _rung_lines(run), floor_line(run.study.floor_bits_per_char)
    return Picture(
        name="learning-curves",
        alt="Each trial's score after each epoch; trials that ASHA stopped are grey.",
        data=data,
        layout={
            "xaxis": {
                "title": {"text": "epoch"},
                "type": "log",
                **log_ticks(1 / an_epoch, run.space.max_reports / an_epoch),
            },
            "yaxis": {
                "title": {"text": SCORE_TITLE},
                "range": [low, high + 0.2 * (high - low)],
            },
            "shapes": [*rungs["shapes"], *floor["shapes"]],
            "annotations": [*rungs["annotations"], *floor["annotations"]],
        },
        height=420,
    )


def _rung_lines(run: LoadedRun) -> dict[str, Any]:
    """Return the shapes and annotations of a layout with ASHA's rungs as vertical lines."""
    an_epoch = run.space.base.reports_per_epoch
    rungs = [whole(rung / an_epoch) for rung in run.space.budget.rungs(run.space.max_reports)]
    upright = [straight_line("x", rung, color="--rung", width=1, dash="dot") for rung in rungs]
    labels = [
        {
            "text": f"rung {rung:g}",
            "x": round(math.log10(rung), 4),  # plotly.js needs this on a logarithmic axis
            "y": 1,
            "yref": "paper",
            "textangle": -90,
            "showarrow": False,
            "xanchor": "left",
            "yanchor": "top",
            "font": {"size": 10, "color": "--muted"},
        }
        for rung in rungs
    ]
    return {"shapes": upright, "annotations": labels}


def _with_gaps(values: list[float | None], ends: list[bool]) -> list[float | None]:
    """Return the values with a null after the end of each curve."""
    pairs = zip(values, ends, strict=True)
    return [item for value, last in pairs for item in ((value, None) if last else (value,))]


def stretches(epochs: pd.DataFrame) -> pd.DataFrame:
    """Return when trials ran, ordered by start.

    Returns:
        One row per uninterrupted stretch of a trial: its `number`, its `start` and `end` in
        seconds since the search's start, and its `row` in the figure, counted from 0.
    """
    ordered = epochs.sort_values(["number", "epoch"])
    number, end, elapsed = (
        ordered[name].astype(float) for name in ("number", "search_seconds", "elapsed_seconds")
    )
    start = (end - elapsed.groupby(number).diff().fillna(elapsed)).clip(lower=0.0)
    before = end.groupby(number).shift()  # none before a trial's first epoch
    begins = before.isna() | (start - before > _GAP_SECONDS)
    spans = pd.DataFrame({"start": start, "end": end, "number": number}).groupby(begins.cumsum())
    found = spans.agg({"start": "first", "end": "last", "number": "first"})
    found = found.sort_values([*found], ignore_index=True)
    row_ends: list[float] = []
    rows = []
    for start, end in zip(found["start"], found["end"], strict=True):
        free = [row for row, until in enumerate(row_ends) if until <= start + _OVERLAP_SECONDS]
        row = free[0] if free else len(row_ends)
        row_ends[row : row + 1] = [end]
        rows.append(row)
    return found.assign(row=rows)


def busy_share(found: pd.DataFrame) -> float:
    """Return how much of the rows is filled, from the first start to the last end."""
    rows = found["row"].max() + 1
    span = found["end"].max() - found["start"].min()
    busy = (found["end"] - found["start"]).sum()
    return min(1.0, busy / (rows * span)) if span else 1.0


def timeline(run: LoadedRun, found: pd.DataFrame) -> Picture:
    """Return the stretches of a run, of which there is at least one, as bars over time."""
    divisor, unit = time_unit(float(found["end"].max()))
    num_rows = int(found["row"].max()) + 1
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "name": STYLES[kind].label,
            "base": numbers(bars["start"] / divisor, 3),
            "x": numbers((bars["end"] - bars["start"]) / divisor, 3),
            "y": numbers(bars["row"] + 1, 0),
            "width": 0.8,
            **labelled(bars),
            "textposition": "none",
            "marker": {"color": STYLES[kind].colour, "line": {"color": "--page", "width": 0.5}},
        }
        for kind, bars in by_kind(found, kinds_of(run.trials))
    ]
    return Picture(
        name="timeline",
        alt=f"When each trial ran, in {num_rows} rows.",
        data=data,
        layout={
            "barmode": "overlay",
            "xaxis": {
                "title": {"text": f"{unit} since the search's start"},
                "rangemode": "tozero",
            },
            "yaxis": {
                "title": {"text": "row"},
                "autorange": "reversed",
                "dtick": max(1, num_rows // 12),
                "tick0": 1,
                "showgrid": False,
            },
        },
        height=150 + min(600, 30 * num_rows),
    )
