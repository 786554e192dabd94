"""The picture of report.html that has all axes at once: parallel coordinates.

It is made of plain lines. The trace type of plotly.js for it needs WebGL, which not every machine
has and which does not print, and half as much code again in the page.
"""

import dataclasses

import pandas as pd
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces import SearchSpace
from search_spaces.distributions import position
from tune.pictures import SCORE, Picture, escaped, have_axis
from tune.records.tables import ranked


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Lines:
    """How trials of one kind look in the picture of all axes."""

    name: str
    colour: str
    opacity: float
    width: float
    dash: str = "solid"


_REST = _Lines(name="the rest", colour="--pruned", opacity=0.3, width=1)
_NEXT = _Lines(name="next four tenths", colour="--middle", opacity=0.5, width=1.5)
_TOP = _Lines(name="best tenth", colour="--complete", opacity=0.9, width=1.5)
_BASELINE = _Lines(name="baseline", colour="--baseline", opacity=1, width=2, dash="dash")
_WINNER = _Lines(name="winner", colour="--winner", opacity=1, width=3.5)


def parallel_coordinates(trials: pd.DataFrame, space: SearchSpace) -> Picture:
    """Return every trial as a line over all axes and its score.

    Args:
        trials: The trials table; one trial at least was measured.
        space: What was searched; one axis at least.
    """
    best = ranked(trials)
    scales = {axis: _places(best, axis, space) for axis in space.distributions}
    heights = {axis: scale[0] for axis, scale in scales.items()}
    # By rank, the best on top: scores crowd at their good end.
    last = max(1, len(best) - 1)
    heights["score"] = [round(1 - rank / last, 3) for rank in range(len(best))]
    axes = list(heights)
    lines = [[*(heights[axis][row] for axis in axes), None] for row in range(len(best))]
    names = best["number"].tolist()
    data = []
    for style, rows in _parts(best).items():
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": style.name,
                "x": [*range(len(axes)), None] * len(rows),
                "y": [height for row in rows for height in lines[row]],
                "customdata": [
                    number for row in rows for number in [names[row]] * len(lines[row])
                ],
                "line": {
                    "color": style.colour,
                    "width": style.width,
                    "dash": style.dash,
                },
                "opacity": style.opacity,
                "hovertemplate": "trial %{customdata}<extra></extra>",
            }
        )
    score_ticks = [
        (1.0, f"{best[SCORE].iloc[0]:.3f}"),
        *([(0.0, f"{best[SCORE].iloc[-1]:.3f}")] if len(best) > 1 else []),
    ]
    ticks = {**{axis: scale[1] for axis, scale in scales.items()}, "score": score_ticks}
    return Picture(
        name="parallel",
        alt="Every trial as a line over all axes and its score; the best tenth stands out.",
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
                    "x0": place,
                    "x1": place,
                    "y0": 0,
                    "y1": 1,
                    "line": {"color": "--rung", "width": 1},
                }
                for place in range(len(axes))
            ],
            "annotations": [
                {
                    "x": place,
                    "y": height,
                    "text": escaped(text),
                    "showarrow": False,
                    "xanchor": "left",
                    "xshift": 3,
                    "font": {"size": 10, "color": "--ink"},
                    "bgcolor": "--veil",
                    "borderpad": 1,
                }
                for place, axis in enumerate(axes)
                for height, text in ticks[axis]
            ],
        },
        height=430,
        min_width=78 * len(axes),
    )


def _parts(best: pd.DataFrame) -> dict[_Lines, list[int]]:
    """Return the rows of each kind, those that are drawn first before the others."""
    rows: dict[_Lines, list[int]] = {kind: [] for kind in (_REST, _NEXT, _TOP, _BASELINE, _WINNER)}
    is_baseline = best["baseline"].notna().tolist()
    for row in range(len(best)):
        share = row / len(best)
        kind = _TOP if share < 0.1 else _NEXT if share < 0.5 else _REST
        rows[_WINNER if row == 0 else _BASELINE if is_baseline[row] else kind].append(row)
    return {kind: members for kind, members in rows.items() if members}


def _places(
    best: pd.DataFrame, axis: str, space: SearchSpace
) -> tuple[list[float | None], list[tuple[float, str]]]:
    """Return where the trials lie on an axis, 0 to 1, and the places that have a label."""
    distribution = space.distributions[axis]
    exists = have_axis(best, axis, space)
    if isinstance(distribution, CategoricalDistribution):
        choices = list(distribution.choices)
        steps = max(1, len(choices) - 1)
        labels = [(place / steps, str(choice)) for place, choice in enumerate(choices)]
        places = [
            round(choices.index(value) / steps, 3) if here else None
            for value, here in zip(best[axis], exists, strict=True)
        ]
        return places, labels
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high = float(distribution.low), float(distribution.high)
    # A trial without the axis has the base's value there, which may lie anywhere.
    places = [
        round(position(distribution, float(value)), 3) if here else None
        for value, here in zip(best[axis], exists, strict=True)
    ]
    return places, [(0.0, f"{low:.4g}"), (1.0, f"{high:.4g}")]
