"""Spaces derived from a space: an axis narrowed, choices removed, a lower maximum, a new base."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from model.config import ARITHMETIC_FIELDS, FIELD_NAMES, TrialConfig, true_or_false
from model.errors import ConfigError, unknown_choice
from search_spaces.baseline import with_fields
from search_spaces.distributions import contains, describe, extremes, is_ordered, nearest
from search_spaces.space import SearchSpace

LAYER_NORM_DROPOUT = 1.2
"""Factor on a base's dropout when layer norm is added."""
_NO_AXES_NEEDED = (*ARITHMETIC_FIELDS, "normalization")
"""Fields that can be fixed even if they are not axes."""


def fixed(space: SearchSpace, rule: str) -> SearchSpace:
    """Return the space with an axis narrowed: `--fix cleaning=cased`.

    Instead of one value, a range, `hidden_size=320..512`, or a list, `cleaning=lower,cased`. If
    that leaves the base outside, it gets the nearest value, or the first of a list of names.

    Precision and kernel can be fixed too, axis or not: `--fix kernel=torch`. So can layer
    norm, which time budgets and long texts add: `--fix normalization=none`; and the unit, even to
    a value that the axis lacks: `--fix unit=byte`.

    Raises:
        ConfigError: It is not an axis, or the axis does not contain a value.
    """
    axis, mark, text = rule.partition("=")
    if not mark:
        raise ConfigError(f"--fix needs AXIS=VALUE, got {rule!r}")
    if axis in _NO_AXES_NEEDED and axis not in space.distributions:
        named: dict[str, Any] = {axis: text}
        if axis == "normalization":  # as when a time budget adds it
            return with_base(space, named)
        return dataclasses.replace(space, base=dataclasses.replace(space.base, **named))
    if axis == "unit" and ("," not in text or axis not in space.distributions):
        return _with_unit(space, text)
    if axis not in space.distributions:
        choices = dict.fromkeys([*space.distributions, "unit", *_NO_AXES_NEEDED])
        if axis in FIELD_NAMES:  # of another space, or fixed by a --fix before
            raise ConfigError(
                f"--fix needs an axis, but {axis} is none of this space, whose base has "
                f"{getattr(space.base, axis)}; axes: {', '.join(choices)}"
            )
        raise ConfigError(unknown_choice("axis", axis, choices))
    narrow = _narrowed(space, axis, text)
    value = getattr(space.base, axis)
    if not contains(narrow, value):
        value = nearest(narrow, value) if is_ordered(narrow) else extremes(narrow)[0]
    left = {**space.distributions, axis: narrow}
    if narrow.single():
        del left[axis]
    return _rebuilt(space, left, dataclasses.replace(space.base, **{axis: value}))


def _narrowed(space: SearchSpace, axis: str, text: str) -> BaseDistribution:
    """Return what a value, `LOW..HIGH` or `A,B` leaves of an axis.

    Raises:
        ConfigError: The axis does not contain a value, or it has no order for a range.
    """
    distribution = space.distributions[axis]
    is_range = ".." in text and is_ordered(distribution)
    values: list[Any] = []
    for part in text.split(".." if is_range else ","):
        value = value_of(axis, part)
        is_name = isinstance(getattr(space.base, axis), str)
        if isinstance(value, str) != is_name or not contains(distribution, value):
            raise ConfigError(f"{axis} must be in {describe(distribution)}, got {text!r}")
        # Epochs are fractions in a configuration, often whole on an axis.
        values.append(int(value) if isinstance(distribution, IntDistribution) else value)
    if not is_range:
        return CategoricalDistribution(tuple(dict.fromkeys(values)))
    if len(values) > 2 or values[0] > values[1]:
        raise ConfigError(f"a range of {axis} must be LOW..HIGH, got {text!r}")
    low, high = values
    if isinstance(distribution, CategoricalDistribution):
        chosen: list[Any] = list(distribution.choices)
        return CategoricalDistribution(tuple(each for each in chosen if low <= each <= high))
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    step: Any = distribution.step
    return type(distribution)(low, high, log=distribution.log, step=step)


def value_of(field: str, text: str) -> Any:
    """Return the value of a field that a text says; the text itself if it says none."""
    kinds: dict[str, Any] = {each.name: each.type for each in dataclasses.fields(TrialConfig)}
    kinds |= {name: true_or_false for name, kind in kinds.items() if kind is bool}
    try:
        return kinds[field](text)
    except ValueError:
        return text


def _with_unit(space: SearchSpace, unit: str) -> SearchSpace:
    """Return the space with one unit, which need not be among its choices."""
    base = dataclasses.replace(space.base, unit=unit)
    baselines = [each for each in space.baselines if space.config(each.params).unit == unit]
    others = {axis: each for axis, each in space.distributions.items() if axis != "unit"}
    return _rebuilt(dataclasses.replace(space, baselines=tuple(baselines)), others, base)


def with_choices(space: SearchSpace, axis: str, values: Sequence[Any]) -> SearchSpace:
    """Return the space with some of the values of an axis, at least one."""
    if len(values) == 1:
        base = dataclasses.replace(space.base, **{axis: values[0]})
        left = {name: d for name, d in space.distributions.items() if name != axis}
        return _rebuilt(space, left, base)
    narrow = CategoricalDistribution(tuple(values))
    return _rebuilt(space, {**space.distributions, axis: narrow}, space.base)


def without(space: SearchSpace, axis: str, name: str) -> SearchSpace | None:
    """Return the space without one of an axis' names; None if not an axis or no name is left."""
    distribution = space.distributions.get(axis)
    if not isinstance(distribution, CategoricalDistribution):
        return None
    left = [each for each in distribution.choices if each != name]
    return with_choices(space, axis, left) if left else None


def at_most(space: SearchSpace, axis: str, highest: int) -> SearchSpace | None:
    """Return the space with a numeric axis cut off above a value; None if nothing is left."""
    distribution = space.distributions.get(axis)
    if isinstance(distribution, CategoricalDistribution):
        choices: list[Any] = list(distribution.choices)
        left = [choice for choice in choices if choice <= highest]
        return with_choices(space, axis, left) if left else None
    if not isinstance(distribution, IntDistribution) or distribution.low > highest:
        return None
    low, step, log = distribution.low, distribution.step, distribution.log
    high = min(distribution.high, highest - (highest - low) % step)
    narrow = IntDistribution(low, high, step=step, log=log)
    return _rebuilt(space, {**space.distributions, axis: narrow}, space.base)


def with_scaled_dropout(space: SearchSpace, factor: float) -> SearchSpace:
    """Return the space with its base's dropout multiplied, if dropout is an axis of floats.

    A start that does not name dropout uses the base's. If the base would leave the axis, nothing
    changes.
    """
    axis, dropout = space.distributions.get("dropout"), space.base.dropout * factor
    if not isinstance(axis, FloatDistribution) or not contains(axis, dropout):
        return space
    return dataclasses.replace(space, base=dataclasses.replace(space.base, dropout=dropout))


def with_layer_norm(space: SearchSpace, kept: Collection[str]) -> SearchSpace:
    """Return a space with layer norm in all trials but baselines, and more dropout in its base.

    A network learns faster with it, and overfits sooner. On the book, 15 epochs of `full`'s base
    gave 1.970 bits with dropout 0.5, and 1.936 with layer norm and 0.6; 7 epochs with 0.233 gave
    2.027 and 1.978; 5 epochs of `quick`'s on python-docs 1.793 and 1.692 (LOG.md).

    Args:
        space: The space. Nothing changes if layer norm is an axis or has no effect, if the base
            has it, or if `most_chars` is None: that base is meant for all texts and times.
        kept: Fields that the user has fixed.
    """
    is_named = "normalization" in (*space.distributions, *kept)
    if is_named or space.most_chars is None or not space.distributions:
        return space
    if space.base.normalization == "layer" or "window" in space.values("regime"):
        return space
    space = with_base(space, {"normalization": "layer"})
    return with_scaled_dropout(space, LAYER_NORM_DROPOUT)


def with_base(space: SearchSpace, changes: Mapping[str, Any]) -> SearchSpace:
    """Return the space with another base; baselines keep the old base's values."""
    return dataclasses.replace(
        space,
        base=dataclasses.replace(space.base, **changes),
        baselines=with_fields(space.baselines, space.base, changes),
    )


def _rebuilt(
    space: SearchSpace, distributions: Mapping[str, BaseDistribution], base: TrialConfig
) -> SearchSpace:
    """Return the space with other axes, without what their conditions and values exclude."""
    left, conditions = dict(distributions), dict[str, tuple[str, Any]]()
    for axis in distributions:
        condition = space.condition(axis)
        if condition is None:
            continue
        other, needed = condition
        held: tuple[Any, ...] = ()
        if other in left:
            held = tuple(value for value in needed if contains(left[other], value))
            conditions[axis] = (other, held)
        elif other not in distributions:  # otherwise its own condition no longer holds
            held = tuple(value for value in needed if value == getattr(base, other))
        if not held:
            conditions.pop(axis, None)
            del left[axis]
    baselines = tuple(
        baseline
        for baseline in space.baselines
        if _lies_in(space.config(baseline.params), space, left, base)
    )

    own = {axis: getattr(base, axis) for axis in space.distributions}
    completed = [(start, space.config({**own, **start})) for start in space.starts]
    inside = [start for start, config in completed if _lies_in(config, space, left, base)]
    starts = tuple({axis: value for axis, value in s.items() if axis in left} for s in inside)
    if not left and not baselines:
        raise ConfigError(f"space {space.name!r} must keep an axis: all are fixed")
    return dataclasses.replace(
        space,
        base=base,
        distributions=left,
        conditions=conditions,
        baselines=baselines,
        starts=tuple(start for start in starts if start),
    )


def _lies_in(
    config: TrialConfig,
    space: SearchSpace,
    distributions: Mapping[str, BaseDistribution],
    base: TrialConfig,
) -> bool:
    """Return whether a point of a space is also in the smaller space."""
    values, fixed_values = config.to_dict(), base.to_dict()
    return all(
        contains(distributions[axis], values[axis])
        if axis in distributions
        else values[axis] == fixed_values[axis]
        for axis in space.distributions
        if space.exists(axis, values)
    )
