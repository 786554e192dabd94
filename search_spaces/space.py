"""A search space: axes, where the search starts, and how much to spend.

Axes are Optuna's own distributions. Every axis is a field of TrialConfig. A space whose
extremes TrialConfig rejects is rejected before anything starts.
"""

import dataclasses
import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    distribution_to_json,
)

from model.config import FIELD_NAMES, TrialConfig
from model.errors import ConfigError, unknown_choice
from search_spaces.baseline import Baseline, check_name
from search_spaces.budget import Budget
from search_spaces.distributions import (
    all_values,
    contains,
    describe,
    ends,
    extremes,
    from_json,
    num_values,
    on_step,
)

MAX_POINTS = 10_000
"""Maximum number of points that are listed: a larger space is never exhausted."""
MAX_CORNERS = 100_000
"""Maximum number of combinations of axes' ends that are checked: 5 s; research has 18,432."""
PER_TRIAL_FIELDS = ("seed",)
"""Fields that the search itself sets for each trial; no space may name them as an axis."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SearchSpace:
    """A search space.

    Attributes:
        name: Its name on the command line and in reports.
        description: One line for readers.
        base: The values of all fields that are not axes; tried early if it is in the axes.
        starts: Configurations known to be good elsewhere, tried right after the base: values
            of axes; the others are the base's.
        distributions: Maps an axis to its distribution; both bounds of a range are included.
        conditions: Maps an axis to (an earlier axis, its value or a tuple of its values): the axis
            exists only for trials in which the other exists and has such a value; otherwise its
            field is the base's.
        baselines: Never stopped by ASHA; each has its own name.
        budget: What the search may spend unless the command line says otherwise.
        most_chars: The longest text for which epochs and base are meant: long_text.py changes both
            for longer ones, and a time budget changes the base. None keeps both.

    Raises:
        ConfigError: An axis is not a TrialConfig field, TrialConfig rejects an extreme, a
            condition can never hold, there are too many corners, a baseline or a start is outside,
            two baselines share a name, or trials are to be compared within a numeric axis.
    """

    name: str
    description: str
    base: TrialConfig
    distributions: Mapping[str, BaseDistribution]
    conditions: Mapping[str, tuple[str, Any]] = dataclasses.field(default_factory=dict)
    baselines: tuple[Baseline, ...] = ()
    starts: tuple[Mapping[str, Any], ...] = ()
    budget: Budget
    most_chars: int | None = None

    def __post_init__(self) -> None:
        check_name("a space", self.name)
        names = [baseline.name for baseline in self.baselines]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"each baseline must have its own name, got two {name!r}")
        for axis, distribution in self.distributions.items():
            if axis not in FIELD_NAMES:
                raise ConfigError(unknown_choice("axis", axis, FIELD_NAMES))
            if axis in PER_TRIAL_FIELDS:
                raise ConfigError(f"the search sets {axis} for each trial; it cannot be an axis")
            if not isinstance(distribution, BaseDistribution):
                raise ConfigError(
                    f"axis {axis} must be an Optuna distribution, got {distribution!r}"
                )
        for axis in self.conditions:
            self._check_condition(axis)
        for axis in self.budget.compare_within:
            distribution = self.distributions.get(axis, CategoricalDistribution((None,)))
            if axis in PER_TRIAL_FIELDS or not isinstance(distribution, CategoricalDistribution):
                raise ConfigError(f"compare_within must name axes with choices, got {axis!r}")
        self._check_corners()
        for name in ("min_char_count", "reports_per_epoch"):
            if self.values(name) != [getattr(self.base, name)]:
                raise ConfigError(f"{name} must be the base's for all trials")
        if not self.distributions and not self.baselines:
            raise ConfigError(f"space {self.name!r} must have an axis or a baseline")
        for baseline in self.baselines:
            self.config(baseline.params)
            if outside := self.outside(baseline.params):
                raise ConfigError(f"baseline {baseline.name!r}: {outside}")
        if not isinstance(self.starts, tuple):
            raise ConfigError(f"starts must be a tuple of mappings, got {self.starts!r}")
        for number, start in enumerate(self.starts, 1):
            if not isinstance(start, Mapping):
                raise ConfigError(f"start {number} must map axes to values, got {start!r}")
            for field in start:
                if field not in self.distributions:
                    axes = list(self.distributions)
                    raise ConfigError(unknown_choice(f"axis of start {number}", field, axes))
            if outside := self.outside(self.point(self.config(start).to_dict())):
                raise ConfigError(f"start {number}: {outside}")

    @property
    def max_reports(self) -> int:
        """The largest number of reports of a trial."""
        return max(config.num_reports for config in self.corners(["epochs"]))

    @property
    def axes(self) -> list[str]:
        """The searched fields; without axes, the fields that the baselines set."""
        return list(self.distributions) or list(self.baselines[0].params)

    def config(self, params: Mapping[str, Any]) -> TrialConfig:
        """Return the base with some fields replaced; values are rounded to a grid's steps.

        Raises:
            ConfigError: A name is not a field, or a value breaks its rule.
        """
        stepped = {
            axis: on_step(distribution, params[axis])
            for axis, distribution in self.distributions.items()
            if axis in params
        }
        values = {**self.base.to_dict(), **params, **stepped}
        if isinstance(self.distributions.get("epochs"), FloatDistribution):
            values["epochs"] = self.base.epochs_near(values["epochs"])
        return TrialConfig.from_dict(values)

    def corners(self, fields: Iterable[str]) -> Iterator[TrialConfig]:
        """Yield the baselines, and the configurations at the ends of the given axes.

        Only combinations that a trial can have: an axis whose condition does not hold has the
        base's value.

        Args:
            fields: Fields of TrialConfig; those that are not axes have the base's value.
        """
        for baseline in self.baselines:
            yield self.config(baseline.params)
        if self.distributions or not self.baselines:
            for params in self._combinations(set(fields), ends):
                yield self.config(params)

    def values(self, field: str) -> list[Any]:
        """Return the extreme values of a field in this space; for names, all of them."""
        return list(dict.fromkeys(getattr(config, field) for config in self.corners([field])))

    def groups(self) -> list[tuple[Any, ...]]:
        """Return the groups within which trials are compared; one, empty, if all are compared."""
        points = self._combinations(set(self.budget.compare_within), extremes)
        points += [dict(baseline.params) for baseline in self.baselines]
        return list(dict.fromkeys(self.budget.group(self.config(point)) for point in points))

    def condition(self, axis: str) -> tuple[str, tuple[Any, ...]] | None:
        """Return the axis on which another depends, and the values that it must have."""
        if axis not in self.conditions:
            return None
        other, needed = self.conditions[axis]
        return other, tuple(needed) if isinstance(needed, (tuple, list)) else (needed,)

    def exists(self, axis: str, params: Mapping[str, Any]) -> bool:
        """Return whether a trial with these values of the other axes has this axis."""
        if (condition := self.condition(axis)) is None:
            return True
        other, needed = condition
        if other not in params or not self.exists(other, params):
            return False
        distribution = self.distributions[other]
        value = on_step(distribution, params[other])
        return any(value == on_step(distribution, each) for each in needed)

    def point(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of the axes that the trial has.

        Args:
            values: Must include each axis that the trial has; for example a TrialConfig's fields.
        """
        return {axis: values[axis] for axis in self.distributions if self.exists(axis, values)}

    def points(self) -> list[dict[str, Any]] | None:
        """Return every point of the axes; None if there are more than MAX_POINTS."""
        if math.prod(map(num_values, self.distributions.values())) > MAX_POINTS:
            return None
        return self._combinations(set(self.distributions), all_values)

    def max_trials(self) -> int | None:
        """Return the number of different trials of the space; None if there are too many."""
        points = self.points() if self.distributions else []
        return None if points is None else len(points) + len(self.baselines)

    def to_json(self) -> dict[str, Any]:
        """Return the space as JSON values, which `from_dict` reads."""
        return {
            "name": self.name,
            "description": self.description,
            "base": self.base.to_dict(),
            "distributions": {
                axis: json.loads(distribution_to_json(distribution))
                for axis, distribution in self.distributions.items()
            },
            "conditions": {axis: list(rule) for axis, rule in self.conditions.items()},
            "baselines": [
                {**dataclasses.asdict(baseline), "params": dict(baseline.params)}
                for baseline in self.baselines
            ],
            "starts": [dict(start) for start in self.starts],
            "budget": dataclasses.asdict(self.budget),
            "most_chars": self.most_chars,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SearchSpace":
        """Build a space from the result of `to_json`."""
        return cls(
            name=values["name"],
            description=values["description"],
            base=TrialConfig.from_dict(values["base"]),
            distributions={
                axis: from_json(axis, distribution)
                for axis, distribution in values["distributions"].items()
            },
            conditions={
                axis: (other, tuple(value) if isinstance(value, list) else value)
                for axis, (other, value) in values.get("conditions", {}).items()
            },
            baselines=tuple(Baseline(**baseline) for baseline in values["baselines"]),
            starts=tuple(values.get("starts", ())),
            # A list in JSON; runs before these keys existed compared all trials, each once.
            budget=Budget(
                **{"promotes": False}
                | values["budget"]
                | {"compare_within": tuple(values["budget"].get("compare_within", ()))}
            ),
            most_chars=values.get("most_chars"),
        )

    def holds(self, point: Mapping[str, Any]) -> bool:
        """Return whether a point has an axis, has every axis that it needs, and is inside."""
        return bool(point) and not self.outside(point)

    def base_point(self) -> dict[str, Any] | None:
        """Return the base's values of the axes if they are inside; otherwise None."""
        base = self.point(self.base.to_dict())
        return base if self.holds(base) else None

    def all_starts(self) -> list[dict[str, Any]]:
        """Return the base's point, if any, then the starts that differ from it and baselines."""
        base = self.base_point()
        points = [] if base is None else [base]
        known = [self.point(baseline.params) for baseline in self.baselines]
        for start in self.starts:
            point = self.point(self.config(start).to_dict())
            if point not in (*known, *points):
                points.append(point)
        return points

    def _check_condition(self, axis: str) -> None:
        """Reject a condition that can never hold."""
        axes = list(self.distributions)
        if axis not in axes:
            raise ConfigError(unknown_choice("axis of a condition", axis, axes))
        rule = self.conditions[axis]
        if not isinstance(rule, (tuple, list)) or len(rule) != 2:
            raise ConfigError(
                f"the condition of {axis} must be (axis, its value or a tuple of values), "
                f"got {rule!r}"
            )
        other, needed = self.condition(axis) or ("", ())
        if other not in axes[: axes.index(axis)]:
            raise ConfigError(
                f"the condition of {axis} must name an axis before it, got {other!r}"
            )
        for value in needed or (needed,):
            if not contains(self.distributions[other], value):
                raise ConfigError(
                    f"the condition of {axis} must be a value of {other}: "
                    f"{describe(self.distributions[other])}, got {value!r}"
                )

    def _check_corners(self) -> None:
        """Reject what TrialConfig rejects: a choice, an end, or a pair that a trial can have.

        Raises:
            ConfigError: A rule of TrialConfig is broken, or there are too many pairs of ends.
        """
        pairs = itertools.combinations(self.distributions, 2)
        looked_at = itertools.chain(
            (self._combinations({axis}, extremes) for axis in self.distributions),
            (self._combinations(set(pair), ends) for pair in pairs),
        )
        for number, params in enumerate(itertools.chain.from_iterable(looked_at)):
            if number == MAX_CORNERS:
                raise ConfigError(f"pairs of axes must have at most {number:,} corners in all")
            self.config(params)

    def _combinations(
        self, axes: set[str], values_of: Callable[[BaseDistribution], list[Any]]
    ) -> list[dict[str, Any]]:
        """Return the combinations of these axes' values that a trial can have.

        Axes that their conditions name are varied too, with the values that are needed there.
        """
        needed: dict[str, list[Any]] = {}
        for axis in [*self.distributions][::-1]:  # an axis follows those on which it depends
            if (axis in axes or axis in needed) and (condition := self.condition(axis)):
                needed.setdefault(condition[0], []).extend(condition[1])
        points: list[dict[str, Any]] = [{}]
        for axis, distribution in self.distributions.items():
            if axis in axes or axis in needed:
                found = values_of(distribution) if axis in axes else ends(distribution)
                chosen = [{axis: each} for each in dict.fromkeys([*found, *needed.get(axis, [])])]
                if len(points) * len(chosen) > MAX_CORNERS:
                    raise ConfigError(f"axes to {axis} must have at most {MAX_CORNERS:,} corners")
                points = [
                    {**point, **each}
                    for point in points
                    for each in (chosen if self.exists(axis, point) else [{}])
                ]
        return points

    def outside(self, params: Mapping[str, Any]) -> str:
        """Return the rule that a point of the space breaks, or an empty string."""
        for axis, distribution in self.distributions.items():
            if not self.exists(axis, params):
                continue
            if axis not in params:
                return f"it must set the axis {axis}"
            if not contains(distribution, params[axis]):
                return f"{axis} must be in {describe(distribution)}, got {params[axis]!r}"
        return ""
