"""Figures of a space's axes for report.html: which mattered, and where good values lie."""

from typing import Any

import pandas as pd
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces import SearchSpace
from search_spaces.distributions import MAX_CHOICES, nearest, position
from tune.records.load import LoadedRun
from tune.records.tables import ranked
from tune.reporting.axes import have_axis
from tune.reporting.figures.base import (
    SCORE,
    SCORE_TITLE,
    by_kind,
    escaped,
    kinds_of,
    log_ticks,
    numbers,
    score_range,
    trial_points,
)
from tune.reporting.section import Picture


def importance(shares: pd.DataFrame) -> Picture:
    """Return each axis's share, with its spread over resamples if known.

    Args:
        shares: As `axis_shares` returns them; at least one.
    """
    axes, values, spread = shares["axis"].tolist(), shares["share"].tolist(), shares.dropna()
    largest = max([*values, *spread["high"]])
    bounds = zip(spread["low"], spread["high"], strict=True)
    bars = {
        "type": "scatter",
        "mode": "lines",
        "name": "resamples",
        "x": [bound for low, high in bounds for bound in (low, high, None)],
        "y": [place for axis in spread["axis"] for place in (axis, axis, None)],
        "line": {"color": "--middle", "width": 7},
        "hovertemplate": "%{x:.2f}<extra>%{y}</extra>",
    }
    dots = {
        "type": "scatter",
        "mode": "markers",
        "name": "all trials",
        "x": [round(share, 4) for share in values],
        "y": axes,
        "marker": {"symbol": "diamond", "size": 11, "color": "--complete"},
        "hovertemplate": "%{x:.2f}<extra>%{y}</extra>",
    }
    return Picture(
        name="importance",
        alt="Each axis's share in separating good trials from bad: "
        + ", ".join(f"{axis} {share:.2f}" for axis, share in zip(axes, values, strict=True)),
        data=[dots] if spread.empty else [bars, dots],
        layout={
            "xaxis": {"title": {"text": "share"}, "range": [-0.02 * largest, 1.05 * largest]},
            "yaxis": {"type": "category", "categoryorder": "array", "categoryarray": axes[::-1]},
        },
        height=130 + 34 * len(axes),
    )


def slices(run: LoadedRun) -> list[Picture]:
    """Return one figure per axis: each trial's score against its value."""
    trials, axes = run.trials, run.space.distributions
    measured = trials.loc[trials[SCORE].notna(), ["number", SCORE, *axes]]
    kinds, scores = kinds_of(trials), score_range(run)
    return [_slice(axis, measured, kinds, run.space, scores) for axis in axes]


def _slice(
    axis: str,
    measured: pd.DataFrame,
    kinds: dict[int, str],
    space: SearchSpace,
    scores: list[float],
) -> Picture:
    distribution = space.distributions[axis]
    points = measured.loc[have_axis(measured, axis, space), ["number", SCORE, axis]]
    is_category = isinstance(distribution, CategoricalDistribution)
    data = [
        trial_points(kind, group, _values(group[axis], as_text=is_category), pruned_opacity=0.7)
        for kind, group in by_kind(points, kinds)
    ]
    across: dict[str, Any] = {"title": {"text": axis}}
    if isinstance(distribution, CategoricalDistribution):
        drawn = distribution.choices
        if len(drawn) > MAX_CHOICES:  # only those tried, or the page would grow by megabytes
            had = set(points[axis])
            drawn = tuple(choice for choice in drawn if choice in had)
        choices = [escaped(choice) for choice in drawn]
        across |= {"type": "category", "categoryorder": "array", "categoryarray": choices}
        across["range"] = [-0.5, len(choices) - 0.5]
    elif isinstance(distribution, IntDistribution | FloatDistribution) and distribution.log:
        across |= {"type": "log", **log_ticks(distribution.low, distribution.high)}
    elif isinstance(distribution, IntDistribution) and distribution.high - distribution.low < 8:
        across |= {"dtick": 1}
    return Picture(
        name=f"slice-{axis}",
        alt=f"Each trial's score against {axis}.",
        data=data,
        layout={
            "xaxis": across,
            "yaxis": {"title": {"text": SCORE_TITLE}, "range": scores},
            "showlegend": False,
        },
        height=270,
    )


def _values(column: pd.Series, *, as_text: bool) -> list[Any]:
    return [escaped(value) for value in column] if as_text else numbers(column, 6)


_REST, _NEXT, _TOP = "other half", "next 40 %", "best 10 %"
_BASELINE, _WINNER = "baseline", "winner"
_LINES: dict[str, dict[str, Any]] = {
    _REST: {"opacity": 0.3, "line": {"color": "--pruned", "width": 1}},
    _NEXT: {"opacity": 0.5, "line": {"color": "--middle", "width": 1.5}},
    _TOP: {"opacity": 0.9, "line": {"color": "--complete", "width": 1.5}},
    _BASELINE: {"opacity": 1, "line": {"color": "--baseline", "width": 2, "dash": "dash"}},
    _WINNER: {"opacity": 1, "line": {"color": "--winner", "width": 3.5}},
}
"""Styles of the kinds of trials in the figure of all axes, in drawing order."""


def parallel_coordinates(run: LoadedRun) -> Picture:
    """Return each trial as a line over all axes, of which there is at least one, and its score."""
    best, space = ranked(run.trials), run.space
    scales = {axis: _positions(best, axis, space) for axis in space.distributions}
    heights = {axis: scale[0] for axis, scale in scales.items()}
    # By rank, with the best on top, because good scores are close together.
    last = max(1, len(best) - 1)
    heights["score"] = [round(1 - rank / last, 3) for rank in range(len(best))]
    axes = list(heights)
    lines = [[*(heights[axis][row] for axis in axes), None] for row in range(len(best))]
    names = best["number"].tolist()
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": kind,
            "x": [*range(len(axes)), None] * len(rows),
            "y": [height for row in rows for height in lines[row]],
            "customdata": [names[row] for row in rows for _ in lines[row]],
            **_LINES[kind],
            "hovertemplate": "trial %{customdata}<extra></extra>",
        }
        for kind, rows in _parts(best).items()
    ]
    score_ticks = [
        (1.0, f"{best[SCORE].iloc[0]:.3f}"),
        *([(0.0, f"{best[SCORE].iloc[-1]:.3f}")] if len(best) > 1 else []),
    ]
    ticks = {**{axis: scale[1] for axis, scale in scales.items()}, "score": score_ticks}
    return Picture(
        name="parallel",
        alt="Each trial as a line over all axes and its score; the best tenth is highlighted.",
        data=data,
        layout={
            "xaxis": {
                "tickvals": list(range(len(axes))),
                "ticktext": [axis.replace("_", "<br>") for axis in axes],
                "range": [-0.35, len(axes) - 0.55],
                "showgrid": False,
                "showline": False,
                "fixedrange": True,
            },
            "yaxis": {"visible": False, "range": [-0.06, 1.06], "fixedrange": True},
            "shapes": [
                {
                    "type": "line",
                    "x0": position,
                    "x1": position,
                    "y0": 0,
                    "y1": 1,
                    "line": {"color": "--rung", "width": 1},
                }
                for position in range(len(axes))
            ],
            "annotations": [
                {
                    "x": position,
                    "y": height,
                    "text": escaped(text),
                    "showarrow": False,
                    "xanchor": "left",
                    "xshift": 3,
                    "font": {"size": 10, "color": "--ink"},
                    "bgcolor": "--veil",
                    "borderpad": 1,
                }
                for position, axis in enumerate(axes)
                for height, text in ticks[axis]
            ],
        },
        height=430,
        min_width=78 * len(axes),
    )


def _parts(best: pd.DataFrame) -> dict[str, list[int]]:
    """Return the rows of each kind, in drawing order."""
    rows: dict[str, list[int]] = {kind: [] for kind in _LINES}
    is_baseline = best["baseline"].notna().tolist()
    for row in range(len(best)):
        share = row / len(best)
        kind = _TOP if share < 0.1 else _NEXT if share < 0.5 else _REST
        rows[_WINNER if row == 0 else _BASELINE if is_baseline[row] else kind].append(row)
    return {kind: members for kind, members in rows.items() if members}


def _positions(
    best: pd.DataFrame, axis: str, space: SearchSpace
) -> tuple[list[float | None], list[tuple[float, str]]]:
    """Return the trials' positions on an axis, 0 to 1, and the axis's labels with theirs."""
    distribution = space.distributions[axis]
    exists = have_axis(best, axis, space)
    if isinstance(distribution, CategoricalDistribution):
        choices = list(distribution.choices)
        steps = max(1, len(choices) - 1)
        named = range(len(choices)) if len(choices) <= MAX_CHOICES else (0, len(choices) - 1)
        labels = [(place / steps, str(choices[place])) for place in named]
        places = {choice: place for place, choice in enumerate(choices)}
        positions = [
            round(places[nearest(distribution, value)] / steps, 3) if here else None
            for value, here in zip(best[axis], exists, strict=True)
        ]
        return positions, labels
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high = float(distribution.low), float(distribution.high)
    # A trial without the axis has the base's value there, which may lie outside.
    positions = [
        round(position(distribution, nearest(distribution, float(value))), 3) if here else None
        for value, here in zip(best[axis], exists, strict=True)
    ]
    return positions, [(0.0, f"{low:.4g}"), (1.0, f"{high:.4g}")]
