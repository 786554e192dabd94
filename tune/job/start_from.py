"""Starts from earlier runs: `--start-from`.

What is best on one text is seldom bad on another: the values of 53 configurations recorded on
two texts have a rank correlation of 0.95 (LOG.md).
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from model.errors import ConfigError
from search_spaces import SearchSpace
from search_spaces.distributions import at_position, contains, distance, nearest, position
from tune.records.load import LoadedRun, load_run
from tune.records.run_folder import location_of
from tune.records.tables import config_of, ranked
from tune.records.trial import Status

STARTS_PER_RUN = 4
BEST_SHARE = 0.25
NEAR = 0.1
"""Of configurations that lie nearer to each other, in the mean over the axes, the best stands for
all: a search ends among neighbours, and the ten best of `extended` on the reference's book lie
within 0.04 of each other."""

_GOOD = (Status.COMPLETE, Status.STOPPED, Status.RUNNING)
"""How a trial may have ended, or not yet, that is a start: ASHA has not stopped it."""


def with_starts(space: SearchSpace, runs: Iterable[str], results: Path) -> SearchSpace:
    """Return a space that also starts from the best configurations of earlier runs.

    They are of the best BEST_SHARE of what a run has inside the space, STARTS_PER_RUN at most and
    unlike each other. None is added that the space begins with as it is.

    Args:
        space: The space of the new search.
        runs: Folders, names of runs in the results folder, or URIs.
        results: The folder of all runs.

    Raises:
        ConfigError: One is no run, or none of its configurations lies in the space.
    """
    for run in runs:
        loaded = load_run(location_of(run, results))
        inside = _trained_inside(loaded, space)
        if not inside:
            raise ConfigError(
                f"start_from must name runs with a trained configuration inside {space.name!r}, "
                f"got {loaded.name!r}, which has none"
            )
        known = [space.point(each.params) for each in space.baselines]
        known += space.all_starts()
        best = inside[: math.ceil(BEST_SHARE * len(inside))]
        new = [point for point, status in best if status in _GOOD and point not in known]
        space = dataclasses.replace(space, starts=(*space.starts, *unlike(new, space)))
    return space


def unlike(points: Iterable[dict[str, Any]], space: SearchSpace) -> list[dict[str, Any]]:
    """Return the first STARTS_PER_RUN points of which none lies near one before it."""
    chosen: list[dict[str, Any]] = []
    for point in points:
        if len(chosen) == STARTS_PER_RUN:
            break
        if all(_apart(space, point, other) >= NEAR for other in chosen):
            chosen.append(point)
    return chosen


def _trained_inside(run: LoadedRun, space: SearchSpace) -> list[tuple[dict[str, Any], str]]:
    """Return the points of a space that a run has trained, best first, and how each ended.

    Of each configuration the axes of the space are taken; all else is the base's. Where a time
    budget left it fewer epochs than its run's axis has, they are that axis' fewest. Epochs of a
    text of another length are those as far up in the axis.
    """
    trained = ranked(run.trials)
    points = []
    is_other_length = run.space.base.reports_per_epoch != space.base.reports_per_epoch
    for _, row in trained.iterrows():
        values = config_of(row).to_dict()
        ours, theirs = (each.distributions.get("epochs") for each in (space, run.space))
        if ours is not None and theirs is not None:
            epochs = nearest(theirs, values["epochs"])
            if is_other_length:
                values["epochs"] = space.base.epochs_near(
                    at_position(ours, position(theirs, epochs))
                )
            elif not contains(ours, values["epochs"]):
                values["epochs"] = epochs
        points.append(space.point(values))
    pairs = zip(points, trained["status"], strict=True)
    return [(point, status) for point, status in pairs if space.holds(point)]


def _apart(space: SearchSpace, one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Return how far two points lie apart in the mean over the axes that either has."""
    distances = [
        distance(distribution, one[axis], other[axis]) if axis in one and axis in other else 1.0
        for axis, distribution in space.distributions.items()
        if axis in one or axis in other
    ]
    return sum(distances) / len(distances)
