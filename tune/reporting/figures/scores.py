"""The picture of report.html that has the winner and the baselines side by side."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from tune.records.load import LoadedRun
from tune.records.tables import ranked
from tune.reporting.figures.base import SCORE, SCORE_TITLE, floor_line, numbers, wrapped
from tune.reporting.section import Picture


def compared(run: LoadedRun) -> Picture:
    """Return the winner, the finalists and the baselines side by side."""
    best = ranked(run.trials)
    shown = best[(best.index == 0) | best["baseline"].notna()]
    trial_numbers = [*shown["number"], *run.finalists["number"]]
    again = run.finalists[run.finalists[SCORE].notna()]
    names, points = [], []
    for number in dict.fromkeys(trial_numbers):
        of_trial = best[best["number"] == number]
        trained = again[again["number"] == number]
        name = f"trial {number}"
        if number == best["number"].iloc[0]:
            name += ", the winner"
        if not of_trial.empty and pd.notna(of_trial["baseline"].iloc[0]):
            name = str(of_trial["baseline"].iloc[0])
        names.append(name)
        points.append(
            pd.concat(
                [
                    of_trial[[SCORE]].assign(searched=True),
                    trained[[SCORE]].assign(searched=False),
                ],
                ignore_index=True,
            )
        )
    order = sorted(range(len(names)), key=lambda index: _rank(points[index]))
    return _scores(
        [names[p] for p in order], [points[p] for p in order], run.study.floor_bits_per_char
    )


def _rank(points: pd.DataFrame) -> float:
    """Return the mean of the finalist's trainings, or the search's own value."""
    again = points[~points["searched"]]
    return float((points if again.empty else again)[SCORE].mean())


def _scores(names: Sequence[str], points: Sequence[pd.DataFrame], floor: float) -> Picture:
    """Return networks side by side: every training of theirs, the mean and its spread.

    Args:
        names: What each is called, best first.
        points: For each, its trainings' `val_bits_per_char`, and `searched`: whether the value
            is the search's own.
        floor: What the n-gram scores.
    """
    labels = [wrapped(name) for name in names]
    retrained: dict[str, list[Any]] = {"x": [], "y": []}
    searched: dict[str, list[Any]] = {"x": [], "y": []}
    mean: dict[str, list[Any]] = {"x": [], "y": [], "spread": []}
    for label, table in zip(labels, points, strict=True):
        for target, values in (
            (retrained, table[~table["searched"]][SCORE]),
            (searched, table[table["searched"]][SCORE]),
        ):
            target["x"] += numbers(values)
            target["y"] += [label] * len(values)
        again = table[~table["searched"]][SCORE].astype(float)
        if len(again) > 1:
            mean["x"].append(round(again.mean(), 4))
            mean["y"].append(label)
            mean["spread"].append(round(again.std(), 4))
    data = [
        _dots("in the search", searched, "--muted", "circle-open", 9),
        _dots("retrained", retrained, "--complete", "circle", 7),
        {
            **_dots("mean ± standard deviation", mean, "--ink", "line-ns", 14),
            "error_x": {
                "type": "data",
                "array": mean["spread"],
                "color": "--ink",
                "thickness": 2,
                "width": 5,
            },
        },
    ]
    data[2]["marker"]["line"] = {"color": "--ink", "width": 3}
    lines = floor_line(floor, upright=True)
    return Picture(
        name="scores",
        alt="The score of the winner beside the baselines', every training a dot.",
        data=[trace for trace in data if trace["x"]],
        layout={
            "xaxis": {"title": {"text": f"{SCORE_TITLE}: lower is better"}},
            "yaxis": {"type": "category", "categoryorder": "array", "categoryarray": labels[::-1]},
            "showlegend": True,
            **lines,
        },
        height=150 + 44 * len(labels),
    )


def _dots(
    name: str, points: dict[str, list[Any]], colour: str, symbol: str, size: int
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": points["x"],
        "y": points["y"],
        "marker": {"color": colour, "symbol": symbol, "size": size},
        "hovertemplate": f"%{{x:.4f}}<extra>{name}</extra>",
    }
