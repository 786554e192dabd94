"""When the rest of a search is noise: what it would still gain, by what it has gained so far.

The best value so far falls about as v + c * t ** -EXPONENT over the time t of a search. v and c
are fitted to the search's own course, on even steps of log(t); the gain until its end follows.
"""

import numpy as np

from model.system.durations import counted
from tune.planning.study import Study
from tune.records.search_record import SearchRecord
from tune.records.trial import num_done

NOISE_BITS = 0.01
"""Standard deviation between the seeds of one configuration: 0.0096, the root of the mean square
of the eight of results/reference that have several."""
EXPONENT = 0.25
LEAST_SHARE = 0.25
"""Share of the search before which nothing is told of the rest. Both were chosen on recorded
curves (LOG.md, 2026-11-29)."""
_FIRST_SHARE, _NUM_POINTS = 0.1, 12
"""What is fitted begins at this share of the time so far: earlier bests say little."""


def why_settled(
    study: Study, search: SearchRecord, seconds: float, seconds_left: float | None
) -> str:
    """Return why a search that is to end when it is settled may end now; empty if it may not.

    Args:
        study: The search.
        search: Its trials, and when it paused: finalists gain it nothing.
        seconds: How long it has run, pauses included.
        seconds_left: What its time budget leaves it; None without one.
    """
    if not study.settings.stop_when_settled:
        return ""
    ended = num_done(search.records.values())
    if ended >= study.num_trials:  # what is left was added by hand, or is promoted
        return ""
    seconds = search.searched_seconds(seconds)
    # Where trials are the budget, they are its clock: all take about the same time.
    left = (study.num_trials - ended) / ended * seconds if ended else float("inf")
    total = seconds + min(left, float("inf") if seconds_left is None else seconds_left)
    if seconds <= LEAST_SHARE * total:
        return ""
    gain = expected_gain(_course(search), seconds, total)
    if gain >= NOISE_BITS:
        return ""
    return (
        f"after {counted(ended, 'trial')} the rest would gain about {gain:.4f} bits, less than "
        f"the {NOISE_BITS} that seeds differ by"
    )


def expected_gain(course: list[tuple[float, float]], seconds: float, total: float) -> float:
    """Return by how much the best value would fall until the end; infinity if that is not known.

    Args:
        course: When a value came, in seconds of the search, and the value; in order.
        seconds: How long the search has run.
        total: When it ends.
    """
    if not course:
        return float("inf")
    at, values = (np.array(column) for column in zip(*course, strict=True))
    best = np.minimum.accumulate(values)
    points = seconds * np.geomspace(_FIRST_SHARE, 1.0, _NUM_POINTS)
    places = np.searchsorted(at, points, side="right") - 1
    known = places >= 0
    if np.count_nonzero(known) < _NUM_POINTS // 2:
        return float("inf")
    times = (points[known] / total) ** -EXPONENT
    slope = np.polynomial.polynomial.polyfit(times, best[places[known]], 1)[1]
    return float(slope * ((seconds / total) ** -EXPONENT - 1))


def _course(search: SearchRecord) -> list[tuple[float, float]]:
    return sorted(
        (search.searched_seconds(report.search_seconds), report.val_bits_per_char)
        for record in search.records.values()
        for report in record.epochs
    )
