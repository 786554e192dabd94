"""The figure of report.html that compares the winner with the baselines."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from tune.records.load import LoadedRun
from tune.records.tables import ranked
from tune.reporting.figures.base import SCORE, SCORE_TITLE, floor_line, numbers, wrapped
from tune.reporting.section import Picture


def compared(run: LoadedRun) -> Picture:
    """Return the scores of the winner, the finalists and the baselines, a dot per training."""
    best, finalists = ranked(run.trials), run.finalists
    is_finalist = best["number"].isin(finalists["number"])
    is_shown = (best.index == 0) | best["baseline"].notna() | is_finalist
    shown = best[is_shown].set_index("number")
    searched = shown[SCORE].astype(float)
    again = finalists[finalists[SCORE].notna() & finalists["number"].isin(searched.index)]
    retrained = again.set_index("number")[SCORE].astype(float)
    means = retrained.groupby(level=0).agg(["mean", "std"])
    # By a finalist's mean, otherwise by the score in the search.
    rank = means["mean"].reindex(searched.index).fillna(searched)
    order = rank.sort_values(kind="stable").index
    labels = {}
    for number, baseline in shown.loc[order, "baseline"].items():
        own = f"trial {number}, the winner" if number == shown.index[0] else f"trial {number}"
        labels[number] = wrapped(own if pd.isna(baseline) else baseline)
    means = means.reindex(order).dropna()  # a spread needs at least two trainings
    data = [
        _dots("in the search", searched, labels, "--muted", "circle-open", 9),
        _dots("retrained", retrained, labels, "--complete", "circle", 7),
        {
            **_dots("mean ± standard deviation", means["mean"], labels, "--ink", "line-ns", 14),
            "error_x": {
                "type": "data",
                "array": numbers(means["std"]),
                "color": "--ink",
                "thickness": 2,
                "width": 5,
            },
        },
    ]
    data[2]["marker"]["line"] = {"color": "--ink", "width": 3}
    return Picture(
        name="scores",
        alt="The scores of the winner and the baselines, one dot per training.",
        data=[trace for trace in data if trace["x"]],
        layout={
            "xaxis": {"title": {"text": f"{SCORE_TITLE}: lower is better"}},
            "yaxis": {
                "type": "category",
                "categoryorder": "array",
                "categoryarray": [*labels.values()][::-1],
            },
            "showlegend": True,
            **floor_line(run.study.floor_bits_per_char, upright=True),
        },
        height=150 + 44 * len(labels),
    )


def _dots(
    name: str, scores: pd.Series, labels: Mapping[Any, str], colour: str, symbol: str, size: int
) -> dict[str, Any]:
    """Return the trace of scores that are indexed by trial number."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": numbers(scores),
        "y": [labels[number] for number in scores.index],
        "marker": {"color": colour, "symbol": symbol, "size": size},
        "hovertemplate": f"%{{x:.4f}}<extra>{name}</extra>",
    }
