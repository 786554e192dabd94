"""Starts from earlier runs: `--start-from`.

The best on one text is seldom bad on another: the values of 53 configurations recorded on two
texts have a rank correlation of 0.95 (LOG.md).
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
"""Of configurations nearer to each other (mean over the axes), only the best is kept:
a search ends among neighbours, and the ten best of `extended` on the reference's book lie
within 0.04 of each other."""

_GOOD = (Status.COMPLETE, Status.STOPPED, Status.RUNNING)
"""Statuses of trials that may become starts: ASHA has not stopped them."""


def with_starts(space: SearchSpace, runs: Iterable[str], results: Path) -> SearchSpace:
    """Return a space that also starts from the best configurations of earlier runs.

    They are among the best BEST_SHARE of a run's configurations inside the space, at most
    STARTS_PER_RUN and unlike each other. Starts that the space already has are not added.

    Args:
        space: The space of the new search.
        runs: Folders, names of runs in the results folder, or URIs.
        results: The folder of all runs.

    Raises:
        ConfigError: One is not a run, or none of its configurations lies in the space.
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
    """Return the first STARTS_PER_RUN points, skipping any that lies near a chosen one."""
    chosen: list[dict[str, Any]] = []
    for point in points:
        if len(chosen) == STARTS_PER_RUN:
            break
        if all(_apart(space, point, other) >= NEAR for other in chosen):
            chosen.append(point)
    return chosen


def _trained_inside(run: LoadedRun, space: SearchSpace) -> list[tuple[dict[str, Any], str]]:
    """Return the points of a space that a run has trained, best first, with each one's status.

    Each configuration contributes its values on the space's axes; the base has the rest. If a time
    budget left fewer epochs than the run's axis allows, they become that axis's minimum. Epochs
    for a text of another length keep their relative position on the axis.
    """
    points = []
    is_other_length = run.space.base.reports_per_epoch != space.base.reports_per_epoch
    ours, theirs = (each.distributions.get("epochs") for each in (space, run.space))
    for _, row in ranked(run.trials).iterrows():
        values = config_of(row).to_dict()
        if ours is not None and theirs is not None:
            epochs = nearest(theirs, values["epochs"])
            if is_other_length:
                values["epochs"] = space.base.epochs_near(
                    at_position(ours, position(theirs, epochs))
                )
            elif not contains(ours, values["epochs"]):
                values["epochs"] = epochs
        points.append((space.point(values), str(row["status"])))
    return [(point, status) for point, status in points if space.holds(point)]


def _apart(space: SearchSpace, one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Return the distance of two points: the mean over the axes that either has."""
    distances = [
        distance(distribution, one[axis], other[axis]) if axis in one and axis in other else 1.0
        for axis, distribution in space.distributions.items()
        if axis in one or axis in other
    ]
    return sum(distances) / len(distances)
