"""When each trial ran: a picture of report.html.

The tables do not say which process ran a trial. A search keeps as many at work as there is room
for, and one that ends makes room for the next, so trials are laid into as few rows as they need.
"""

import dataclasses

import pandas as pd

from tune.pictures import STYLES, TRIAL_TEXT, Picture, by_kind, kinds_of, numbers, time_unit

_GAP_SECONDS = 10.0
"""A trial that was silent for longer before an epoch began did not run meanwhile."""
_OVERLAP_SECONDS = 1.0
"""Times are the driver's, which hears of an epoch a moment after it ended."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """A time in which a trial ran.

    Attributes:
        number: The trial.
        start: Seconds since the search began.
        end: The same.
        row: The row that it lies in; the first is 0.
    """

    number: int
    start: float
    end: float
    row: int


def stretches(epochs: pd.DataFrame) -> list[Stretch]:
    """Return when trials ran, in the order of their starts.

    Args:
        epochs: The epochs table.
    """
    ordered = epochs.sort_values(["number", "epoch"])
    number, end, elapsed = (
        ordered[name].astype(float) for name in ("number", "search_seconds", "elapsed_seconds")
    )
    start = (end - elapsed.groupby(number).diff().fillna(elapsed)).clip(lower=0.0)
    before = end.groupby(number).shift()  # none before a trial's first epoch
    begins = before.isna() | (start - before > _GAP_SECONDS)
    spans = pd.DataFrame({"number": number, "start": start, "end": end}).groupby(begins.cumsum())
    table = spans.agg({"number": "first", "start": "first", "end": "last"})
    found = zip(*(table[name].tolist() for name in ("start", "end", "number")), strict=True)
    row_ends: list[float] = []
    placed = []
    for start, end, number in sorted(found):
        free = [row for row, until in enumerate(row_ends) if until <= start + _OVERLAP_SECONDS]
        row = free[0] if free else len(row_ends)
        row_ends[row : row + 1] = [end]
        placed.append(Stretch(number=int(number), start=start, end=end, row=row))
    return placed


def busy_share(found: list[Stretch]) -> float:
    """Return the share of the rows' time, from the first start to the last end, that is filled."""
    rows = max(stretch.row for stretch in found) + 1
    span = max(s.end for s in found) - min(s.start for s in found)
    return min(1.0, sum(s.end - s.start for s in found) / (rows * span)) if span else 1.0


def timeline(trials: pd.DataFrame, found: list[Stretch]) -> Picture:
    """Return the picture.

    Args:
        trials: The trials table.
        found: What `stretches` gave; one at least.
    """
    table = pd.DataFrame([dataclasses.asdict(stretch) for stretch in found])
    divisor, unit = time_unit(max(stretch.end for stretch in found))
    num_rows = int(table["row"].max()) + 1
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "name": STYLES[kind].label,
            "base": numbers(bars["start"] / divisor, 3),
            "x": numbers((bars["end"] - bars["start"]) / divisor, 3),
            "y": numbers(bars["row"] + 1, 0),
            "width": 0.8,
            "customdata": numbers(bars["number"], 0),
            "text": TRIAL_TEXT,
            "textposition": "none",
            "hovertemplate": "%{text}<extra></extra>",
            "marker": {"color": STYLES[kind].colour, "line": {"color": "--page", "width": 0.5}},
        }
        for kind, bars in by_kind(table, kinds_of(trials))
    ]
    return Picture(
        name="timeline",
        alt=f"Which trial ran when, in {num_rows} rows.",
        data=data,
        layout={
            "barmode": "overlay",
            "xaxis": {"title": {"text": f"{unit} since the search began"}, "rangemode": "tozero"},
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
