"""Pictures of a search for report.html: how its scores came about over time and over epochs."""

import math

import pandas as pd

from search_spaces import SearchSpace
from tune.pictures import (
    BASELINE,
    MANY,
    SCORE,
    SCORE_TITLE,
    STYLES,
    TRIAL_TEXT,
    WINNER,
    Picture,
    by_kind,
    floor_line,
    kinds_of,
    log_ticks,
    marked,
    numbers,
    score_range,
    time_unit,
)
from tune.records.trial import Status


def best_so_far(trials: pd.DataFrame, epochs: pd.DataFrame, floor: float) -> Picture:
    """Return each trial's score when it was reached, and the lowest so far.

    Args:
        trials: The trials table; one trial at least was measured.
        epochs: The epochs table.
        floor: What the n-gram scores.
    """
    ordered = epochs.sort_values("search_seconds", ignore_index=True)
    divisor, unit = time_unit(float(ordered["search_seconds"].max()))
    lowest = ordered[SCORE].cummin()
    reached = trials[["number", "best_epoch", SCORE]].merge(
        epochs[["number", "epoch", "search_seconds"]],
        left_on=["number", "best_epoch"],
        right_on=["number", "epoch"],
    )
    data = [
        {
            "type": "scatter",
            "mode": "markers",
            **marked(kind),
            "x": numbers(points["search_seconds"] / divisor, 3),
            "y": numbers(points[SCORE]),
            "customdata": numbers(points["number"], 0),
            "text": TRIAL_TEXT,
            "hovertemplate": "%{text}<extra></extra>",
        }
        for kind, points in by_kind(reached, kinds_of(trials))
    ]
    line = {
        "type": "scatter",
        "mode": "lines",
        "name": "best so far",
        "x": numbers(ordered["search_seconds"] / divisor, 3),
        "y": numbers(lowest),
        "line": {"shape": "hv", "width": 2, "color": "--ink"},
        "hoverinfo": "skip",
    }
    return Picture(
        name="best-so-far",
        alt="The lowest score so far over the time of the search, and each trial's own score.",
        data=[line, *data],
        layout={
            "xaxis": {"title": {"text": f"{unit} since the search began"}, "rangemode": "tozero"},
            "yaxis": {"title": {"text": SCORE_TITLE}, "range": score_range(trials, floor)},
            **floor_line(floor),
        },
    )


def learning_curves(
    trials: pd.DataFrame, epochs: pd.DataFrame, space: SearchSpace, floor: float
) -> Picture:
    """Return each trial's score after each epoch; the rungs of ASHA are upright lines.

    Args:
        trials: The trials table; one trial at least was measured.
        epochs: The epochs table.
        space: What was searched; its budget has the rungs.
        floor: What the n-gram scores.
    """
    data = []
    ordered = epochs[["number", "epoch", SCORE]].sort_values(["number", "epoch"])
    for kind, curves in by_kind(ordered, kinds_of(trials)):
        # A gap ends each curve, so a thousand of them are one line to the browser.
        ends = (~curves["number"].duplicated(keep="last")).tolist()
        x, y, which = (
            _with_gaps(numbers(curves[column], digits), ends)
            for column, digits in (("epoch", 0), (SCORE, 4), ("number", 0))
        )
        style, above = STYLES[kind], kind in (WINNER, BASELINE)
        has_points = above or len(trials) <= MANY
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
    max_epochs = int(max(space.values("epochs")))
    low, high = score_range(trials, floor)
    rungs = [
        {
            "type": "line",
            "xref": "x",
            "yref": "paper",
            "layer": "below",
            "x0": rung,
            "x1": rung,
            "y0": 0,
            "y1": 1,
            "line": {"color": "--rung", "width": 1, "dash": "dot"},
        }
        for rung in space.budget.rungs(max_epochs)
    ]
    labels = [
        {
            "text": f"rung {rung}",
            "x": round(math.log10(rung), 4),  # as plotly.js wants it on a logarithmic axis
            "y": 1,
            "yref": "paper",
            "textangle": -90,
            "showarrow": False,
            "xanchor": "left",
            "yanchor": "top",
            "font": {"size": 10, "color": "--muted"},
        }
        for rung in space.budget.rungs(max_epochs)
    ]
    lines = floor_line(floor)
    return Picture(
        name="learning-curves",
        alt="Each trial's score after each epoch; those that ASHA stopped are grey.",
        data=data,
        layout={
            "xaxis": {"title": {"text": "epoch"}, "type": "log", **log_ticks(1, max_epochs)},
            "yaxis": {
                "title": {"text": SCORE_TITLE},
                "range": [low, high + 0.2 * (high - low)],
            },
            "shapes": [*rungs, *lines["shapes"]],
            "annotations": [*labels, *lines["annotations"]],
        },
        height=420,
    )


def _with_gaps(values: list[float | None], ends: list[bool]) -> list[float | None]:
    """Return the values with a null after each that ends a curve."""
    pairs = zip(values, ends, strict=True)
    return [item for value, last in pairs for item in ((value, None) if last else (value,))]
