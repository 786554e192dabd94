"""Says where the best lie at an edge of their space: beyond it there may be better ones."""

import dataclasses
from typing import Any

from model.config import TrialConfig
from model.errors import ConfigError
from search_spaces import SearchSpace
from search_spaces.distributions import edges_of
from tune.records.tables import Table, config_of, ranked

NUM_BEST = 10
"""So many of the best are looked at; with fewer nothing is said."""

LEAST_COUNT = 5
"""Of these so many must lie at an edge: of ten drawn from five choices they do in 3 of 100."""


def edge_notes(trials: Table, space: SearchSpace) -> list[str]:
    """Return a line that names the axes at whose edge most of the best lie; or none.

    Args:
        trials: The trials table.
        space: What was searched. An edge that no configuration can cross, such as no dropout, is
            none.
    """
    found = ranked(trials)
    best = found[found["baseline"].isna()].head(NUM_BEST)
    if len(best) < NUM_BEST:
        return []
    config = config_of(best.iloc[0])
    parts = []
    for axis, distribution in space.distributions.items():
        values = best[axis].dropna()
        for edge in edges_of(distribution):
            count = sum(map(edge.has, values))
            if count >= LEAST_COUNT and _is_possible(config, axis, edge.beyond):
                parts.append(f"the {edge.name} {axis}, {edge.bound:g} ({count} of {NUM_BEST})")
    if not parts:
        return []
    said = " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
    return [
        f"edge: of the best, most have {said} that the space allows; a wider space may have "
        f"better ones."
    ]


def _is_possible(config: TrialConfig, axis: str, value: Any) -> bool:
    """Return whether a configuration may have such a value at all."""
    try:
        dataclasses.replace(config, **{axis: value})
    except ConfigError:
        return False
    return True
