"""Pictures of a space's axes for report.html: which mattered, and where its good values lie."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces import SearchSpace
from tune.importance import AxisShare
from tune.pictures import (
    SCORE,
    SCORE_TITLE,
    STYLES,
    TRIAL_TEXT,
    Picture,
    by_kind,
    escaped,
    have_axis,
    kinds_of,
    log_ticks,
    numbers,
    score_range,
)
from tune.records.trial import Status


def importance(shares: Sequence[AxisShare]) -> Picture:
    """Return each axis' share, with its spread over resamples where there is one.

    Args:
        shares: One axis at least, the largest first.
    """
    axes = [share.axis for share in shares]
    spread = [share for share in shares if share.low is not None and share.high is not None]
    largest = max(max(share.share, share.high or 0.0) for share in shares)
    bars = {
        "type": "scatter",
        "mode": "lines",
        "name": "resamples",
        "x": [bound for share in spread for bound in (share.low, share.high, None)],
        "y": [axis for share in spread for axis in (share.axis, share.axis, None)],
        "line": {"color": "--middle", "width": 7},
        "hovertemplate": "%{x:.2f}<extra>%{y}</extra>",
    }
    dots = {
        "type": "scatter",
        "mode": "markers",
        "name": "all trials",
        "x": [round(share.share, 4) for share in shares],
        "y": axes,
        "marker": {"symbol": "diamond", "size": 11, "color": "--complete"},
        "hovertemplate": "%{x:.2f}<extra>%{y}</extra>",
    }
    return Picture(
        name="importance",
        alt="Each axis' share in what separates good trials from bad: "
        + ", ".join(f"{share.axis} {share.share:.2f}" for share in shares),
        data=[bars, dots] if spread else [dots],
        layout={
            "xaxis": {"title": {"text": "share"}, "range": [-0.02 * largest, 1.05 * largest]},
            "yaxis": {"type": "category", "categoryorder": "array", "categoryarray": axes[::-1]},
        },
        height=130 + 34 * len(axes),
    )


def slices(trials: pd.DataFrame, space: SearchSpace, floor: float) -> list[Picture]:
    """Return one picture an axis: every trial's score over its value.

    Args:
        trials: The trials table; one trial at least was measured.
        space: What was searched.
        floor: What the n-gram scores.
    """
    measured = trials.loc[trials[SCORE].notna(), ["number", SCORE, *space.distributions]]
    kinds, shown = kinds_of(trials), score_range(trials, floor)
    return [_slice(axis, measured, kinds, space, shown) for axis in space.distributions]


def _slice(
    axis: str,
    measured: pd.DataFrame,
    kinds: dict[int, str],
    space: SearchSpace,
    shown: list[float],
) -> Picture:
    distribution = space.distributions[axis]
    points = measured.loc[have_axis(measured, axis, space), ["number", SCORE, axis]]
    is_category = isinstance(distribution, CategoricalDistribution)
    data = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": STYLES[kind].label,
            "marker": {
                "color": STYLES[kind].colour,
                "symbol": STYLES[kind].symbol,
                "size": STYLES[kind].size,
                "opacity": 0.7 if kind == Status.PRUNED else 1,
            },
            "x": _values(group[axis], as_text=is_category),
            "y": numbers(group[SCORE]),
            "customdata": numbers(group["number"], 0),
            "text": TRIAL_TEXT,
            "hovertemplate": "%{text}<extra></extra>",
        }
        for kind, group in by_kind(points, kinds)
    ]
    across: dict[str, Any] = {"title": {"text": axis}}
    if isinstance(distribution, CategoricalDistribution):
        choices = [escaped(choice) for choice in distribution.choices]
        across |= {"type": "category", "categoryorder": "array", "categoryarray": choices}
        across["range"] = [-0.5, len(choices) - 0.5]
    elif isinstance(distribution, IntDistribution | FloatDistribution) and distribution.log:
        across |= {"type": "log", **log_ticks(distribution.low, distribution.high)}
    elif isinstance(distribution, IntDistribution) and distribution.high - distribution.low < 8:
        across |= {"dtick": 1}
    return Picture(
        name=f"slice-{axis}",
        alt=f"Every trial's score over {axis}.",
        data=data,
        layout={
            "xaxis": across,
            "yaxis": {"title": {"text": SCORE_TITLE}, "range": shown},
            "showlegend": False,
        },
        height=270,
    )


def _values(column: pd.Series, *, as_text: bool) -> list[Any]:
    return [escaped(value) for value in column] if as_text else numbers(column, 6)
