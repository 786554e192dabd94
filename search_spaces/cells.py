"""The cells that a space searches: those that the user names replace the space's own."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from optuna.distributions import CategoricalDistribution

from model.config import is_own_cell
from model.errors import ConfigError
from search_spaces.baseline import with_fields
from search_spaces.narrow import with_choices
from search_spaces.space import SearchSpace

AXIS = "cell"


def with_cells(space: SearchSpace, cells: Sequence[str]) -> SearchSpace:
    """Return the space with only these cells: `--cell lstm my_cells.py:MyCell`.

    One cell is used by every trial except baselines; several form an axis, each with a start.
    The user wants to compare them: ASHA compares trials only within each, because one may start
    more slowly, and the best of each is a finalist.

    Raises:
        ConfigError: The space has no axes, or what it fixes or searches excludes a cell.
    """
    if not space.distributions:
        raise ConfigError(f"--cell needs a space with axes, got {space.name!r}")
    wide = _widened(space, cells)
    narrowed = with_choices(wide, AXIS, cells)
    baselines = tuple(
        baseline
        for baseline in wide.baselines
        if len(cells) == 1 or baseline.params[AXIS] in cells
    )
    if len(cells) == 1:
        return dataclasses.replace(narrowed, baselines=baselines)
    base = narrowed.base
    if base.cell not in cells:
        base = dataclasses.replace(base, cell=cells[0])
    known = {base.cell, *(start.get(AXIS) for start in narrowed.starts)}
    starts = tuple({AXIS: cell} for cell in cells if cell not in known)
    within = tuple(dict.fromkeys([*space.budget.compare_within, AXIS]))
    return dataclasses.replace(
        narrowed,
        base=base,
        baselines=baselines,
        starts=(*narrowed.starts, *starts),
        budget=dataclasses.replace(space.budget, compare_within=within),
    )


def own_cells_of(space: SearchSpace) -> tuple[str, ...]:
    """Return the users' own cells that trials of a space can have."""
    cells = [space.base.cell, *space.values(AXIS)]
    return tuple(dict.fromkeys(cell for cell in cells if is_own_cell(cell)))


def _widened(space: SearchSpace, cells: Sequence[str]) -> SearchSpace:
    """Return a space whose axis includes these cells, placed before the axes that depend on it."""
    axes, conditions = dict(space.distributions), dict[str, Any](space.conditions)
    known = axes.get(AXIS, CategoricalDistribution((space.base.cell,)))
    if not isinstance(known, CategoricalDistribution):
        raise ConfigError(f"the axis {AXIS} must be categorical, got {known!r}")
    choices = tuple(dict.fromkeys([*known.choices, *cells]))
    axes[AXIS] = CategoricalDistribution(choices)
    if AXIS not in conditions:
        axes = {AXIS: axes[AXIS], **axes}
        ours = tuple(choice for choice in choices if not is_own_cell(str(choice)))
        if "weight_dropout" in axes and len(ours) < len(choices) and ours:
            conditions.setdefault("weight_dropout", (AXIS, ours))
    baselines = with_fields(space.baselines, space.base, [AXIS])
    return dataclasses.replace(
        space, distributions=axes, conditions=conditions, baselines=baselines
    )
