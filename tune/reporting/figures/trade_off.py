"""Figures of networks' costs for report.html: score against parameters, seconds and speed."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from tune.records.load import LoadedRun
from tune.reporting.figures.base import (
    SCORE,
    SCORE_TITLE,
    by_kind,
    floor_line,
    kinds_of,
    log_ticks,
    numbers,
    score_range,
    step_line,
    trial_points,
)
from tune.reporting.section import Picture

_TITLES = {
    "num_parameters": ("parameters", 0),
    "elapsed_seconds": ("seconds of training", 3),
    "milliseconds_per_char": ("milliseconds per character", 4),
}
"""Title and decimals of each cost's axis."""


def trade_offs(
    run: LoadedRun, costs: pd.DataFrame, fronts: Mapping[str, pd.DataFrame]
) -> list[Picture]:
    """Return a figure for each cost of which there are at least two values.

    Args:
        run: The run.
        costs: Trials with their costs, and `mean` and `deviation` over other seeds.
        fronts: The trials on the Pareto front of each cost, best first.
    """
    return [
        _picture(run, costs[costs[cost].notna() & (costs[cost] > 0)], fronts[cost], cost)
        for cost in fronts
        if costs[cost].nunique() > 1
    ]


def _picture(run: LoadedRun, known: pd.DataFrame, front: pd.DataFrame, cost: str) -> Picture:
    title, digits = _TITLES[cost]
    along = front.sort_values(cost)
    line = step_line("Pareto front", numbers(along[cost], digits), numbers(along[SCORE]))
    points = [
        trial_points(kind, rows, numbers(rows[cost], digits))
        for kind, rows in by_kind(known, kinds_of(run.trials))
    ]
    again = known[known["deviation"].notna()]
    retrained: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "name": "retrained, mean ± standard deviation",
        "x": numbers(again[cost], digits),
        "y": numbers(again["mean"]),
        "marker": {"color": "--ink", "symbol": "line-ew", "size": 10},
        "error_y": {"type": "data", "array": numbers(again["deviation"]), "color": "--ink"},
        "hovertemplate": "%{y:.4f}<extra>retrained</extra>",
    }
    return Picture(
        name=f"bits-against-{cost.replace('_', '-')}",
        alt=f"Each trial's score against its {title}; the line is the Pareto front.",
        data=[line, *points, *([] if again.empty else [retrained])],
        layout={
            "xaxis": {
                "title": {"text": title},
                "type": "log",
                **log_ticks(float(known[cost].min()), float(known[cost].max())),
            },
            "yaxis": {"title": {"text": SCORE_TITLE}, "range": score_range(run)},
            **floor_line(run.study.floor_bits_per_char),
        },
    )
