"""Decides when the expected remaining gain of a search is less than noise.

The best value so far falls roughly as v + c * t ** -EXPONENT over the search's time t. v and c are
fitted to the search's own course, at even steps of log(t); they give the gain until its end.
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
"""Share of the search before which the rest is not predicted. Both were chosen on recorded curves
(LOG.md, 2026-11-29)."""
_FIRST_SHARE, _NUM_POINTS = 0.1, 12
"""The fit starts at this share of the time so far, because earlier best values say little."""


def why_settled(
    study: Study, search: SearchRecord, seconds: float, seconds_left: float | None
) -> str:
    """Return why a search that ends when settled may end now; empty if it may not.

    Args:
        study: The search.
        search: Its trials and its pauses, in which finalists trained.
        seconds: How long it has run, pauses included.
        seconds_left: What its time budget leaves it; None without one.
    """
    if not study.settings.stop_when_settled or not study.space.distributions:
        return ""  # without axes, the trials are what was to be compared
    ended = num_done(search.records.values())
    if ended >= study.num_trials:  # the rest was added by hand or is promoted
        return ""
    seconds = search.searched_seconds(seconds)
    # If the number of trials is the budget, it is the clock: each takes about the same time.
    left = (study.num_trials - ended) / ended * seconds if ended else float("inf")
    total = seconds + min(left, float("inf") if seconds_left is None else seconds_left)
    if seconds <= LEAST_SHARE * total:
        return ""
    gain = expected_gain(_course(search), seconds, total)
    if gain >= NOISE_BITS:
        return ""
    return (
        f"after {counted(ended, 'trial')} the rest would gain about {gain:.4f} bits, less than "
        f"the noise between seeds, {NOISE_BITS}"
    )


def expected_gain(course: list[tuple[float, float]], seconds: float, total: float) -> float:
    """Return by how much the best value would fall until the end; infinity if unknown.

    Args:
        course: Pairs of search seconds and value, in order.
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
