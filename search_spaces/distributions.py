"""Operations on Optuna's distributions: bounds, membership, description."""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    json_to_distribution,
)

from model.errors import ConfigError

NEAR_SHARE = 0.01
"""A real number is at an edge if it is within this share of the axis's length, on its scale."""
MAX_CHOICES = 20
"""Number of choices that are listed one by one where an axis is described or plotted."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Edge:
    """One end of an axis.

    Attributes:
        name: "lowest" or "highest".
        near: Values between this and the bound, both included, count as at the end.
        bound: The last value of the axis.
        beyond: A value outside the axis.
    """

    name: str
    near: float
    bound: float
    beyond: float

    def has(self, value: float) -> bool:
        """Return whether a value of the axis is at this end."""
        return min(self.near, self.bound) <= value <= max(self.near, self.bound)


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Return whether a distribution contains a value: within its bounds, and on its steps."""
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    # A trial must not start with values that optuna 5.0 rejects when it records the trial.
    return distribution._contains(value)


def extremes(distribution: BaseDistribution) -> list[Any]:
    """Return both bounds of a range, or every choice of a categorical distribution."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    return [distribution.low, distribution.high]


def ends(distribution: BaseDistribution) -> list[Any]:
    """Return the lowest and the highest of numeric values, or every choice of names."""
    values = extremes(distribution)
    return [min(values), max(values)] if is_ordered(distribution) else values


def num_values(distribution: BaseDistribution) -> float:
    """Return the number of values of an axis: infinity for real numbers without steps."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    if distribution.step is None:
        return 1 if distribution.single() else math.inf
    return round((distribution.high - distribution.low) / distribution.step) + 1


def all_values(distribution: BaseDistribution) -> list[Any]:
    """Return all values of an axis with finitely many, written as people write them."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    low, high, step = distribution.low, distribution.high, distribution.step or 0
    # Rounding may exceed the bound: 0.1 + 2 * 0.1 > 0.3.
    steps = (min(low + n * step, high) for n in range(int(num_values(distribution))))
    return [on_step(distribution, value) for value in steps]


def on_step(distribution: BaseDistribution, value: Any) -> Any:
    """Return a value of a grid as people write it: 0.3, not the 0.30000000000000004 of 3 * 0.1.

    Args:
        distribution: An axis.
        value: A value; if off the grid's steps, or of an axis that is not a grid, it is unchanged.
    """
    step = getattr(distribution, "step", None)
    if not isinstance(distribution, FloatDistribution) or step is None:
        return value
    return float(f"{value:.12g}") if contains(distribution, value) else value


def is_ordered(distribution: BaseDistribution) -> bool:
    """Return whether neighbouring values are similar: those of numbers are, names are not."""
    return not isinstance(distribution, CategoricalDistribution) or all(
        isinstance(choice, (int, float)) and not isinstance(choice, bool)
        for choice in distribution.choices
    )


def position(distribution: BaseDistribution, value: Any) -> float:
    """Return the position of a value on the axis's own scale, 0 at the lowest to 1 at the highest.

    Args:
        distribution: An ordered axis. The ranks of choices are evenly spaced.
        value: A value of the axis.
    """
    assert is_ordered(distribution)
    if isinstance(distribution, CategoricalDistribution):
        return _sorted(distribution).index(value) / max(1, len(distribution.choices) - 1)
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    scale = math.log if distribution.log else float
    low, high = scale(distribution.low), scale(distribution.high)
    return (scale(value) - low) / ((high - low) or 1.0)


def at_position(distribution: BaseDistribution, place: float) -> Any:
    """Return the value nearest to a position, 0 to 1, of an ordered axis."""
    assert is_ordered(distribution)
    if isinstance(distribution, CategoricalDistribution):
        return _sorted(distribution)[round(place * (len(distribution.choices) - 1))]
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    low, high = distribution.low, distribution.high
    if distribution.log:
        value = math.exp(math.log(low) + place * (math.log(high) - math.log(low)))
    else:
        value = low + place * (high - low)
    if distribution.step is not None:
        value = low + round((value - low) / distribution.step) * distribution.step
    value = min(max(value, low), high)  # rounding may exceed a bound
    return int(value) if isinstance(distribution, IntDistribution) else float(value)


def nearest(distribution: BaseDistribution, value: Any) -> Any:
    """Return the value of an axis nearest to a value of its type, which may be outside.

    Raises:
        ConfigError: It is not among unordered choices: none of those is nearer.
    """
    if contains(distribution, value):
        return value
    if not is_ordered(distribution):
        raise ConfigError(f"an axis must have one of {describe(distribution)}, got {value!r}")
    if isinstance(distribution, CategoricalDistribution):
        return min(distribution.choices, key=lambda choice: abs(choice - value))
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    # The logarithm of 0 does not exist.
    inside = min(max(value, distribution.low), distribution.high)
    return at_position(distribution, position(distribution, inside))


def distance(distribution: BaseDistribution, one: Any, other: Any) -> float:
    """Return the distance of two values, 0 to 1; two different unordered choices are 1 apart."""
    if not is_ordered(distribution):
        return float(one != other)
    return abs(position(distribution, one) - position(distribution, other))


def describe(distribution: BaseDistribution) -> str:
    """Return a distribution in words.

    >>> describe(IntDistribution(64, 512, log=True))
    '64 to 512, log scale'
    """
    if isinstance(distribution, CategoricalDistribution):
        choices = [str(choice) for choice in distribution.choices]
        if len(choices) > MAX_CHOICES:
            return f"{choices[0]}, …, {choices[-1]} ({len(choices):,} choices)"
        return ", ".join(choices)
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    text = f"{distribution.low:g} to {distribution.high:g}"
    if distribution.step not in (None, 1):
        text += f", in steps of {distribution.step:g}"
    return f"{text}, log scale" if distribution.log else text


def boundary_of(distribution: BaseDistribution) -> list[Edge]:
    """Return both ends of a numeric axis; nothing for one whose choices have no order."""
    if isinstance(distribution, CategoricalDistribution):
        numbers = [c for c in distribution.choices if isinstance(c, (int, float))]
        if len(numbers) < 3 or len(numbers) < len(distribution.choices):
            return []
        low, high = min(numbers), max(numbers)
        below = low - 1 if low <= 0 else low // 2 if isinstance(low, int) else low / 2
        ends = ((low, low, below), (high, high, high * 2 if high > 0 else high + 1))
    elif isinstance(distribution, IntDistribution):
        low, high, step = distribution.low, distribution.high, distribution.step
        ends = ((low, low, low - step), (high, high, high + step))
    else:
        assert isinstance(distribution, FloatDistribution)
        low, high = distribution.low, distribution.high
        if distribution.log:
            factor = math.exp(NEAR_SHARE * math.log(high / low))
            ends = ((low * factor, low, low / factor), (high / factor, high, high * factor))
        else:
            width = NEAR_SHARE * (high - low)
            ends = ((low + width, low, low - width), (high - width, high, high + width))
    return [
        Edge(name=name, near=near, bound=bound, beyond=beyond)
        for name, (near, bound, beyond) in zip(("lowest", "highest"), ends, strict=True)
    ]


def _sorted(distribution: CategoricalDistribution) -> list[Any]:
    choices: list[Any] = list(distribution.choices)
    return sorted(choices)


def from_json(axis: str, values: Mapping[str, Any]) -> BaseDistribution:
    """Return the distribution that Optuna wrote.

    Raises:
        ConfigError: A choice is a list or an object, about which Optuna only warns.
    """
    choices = values["attributes"].get("choices", [])
    if any(isinstance(choice, (list, dict)) for choice in choices):
        raise ConfigError(f"each choice of {axis} must be a number or a name, got {choices!r}")
    return json_to_distribution(json.dumps(values))
