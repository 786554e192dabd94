"""Optuna's distributions in the words that the rest needs: bounds, membership, description."""

from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Return whether a value lies in a distribution, both bounds included."""
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    return bool(distribution.low <= value <= distribution.high)


def extremes(distribution: BaseDistribution) -> list[Any]:
    """Return both bounds of a range, or every choice of a category."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    return [distribution.low, distribution.high]


def describe(distribution: BaseDistribution) -> str:
    """Return a distribution in words.

    >>> describe(IntDistribution(64, 512, log=True))
    '64 to 512, log scale'
    """
    if isinstance(distribution, CategoricalDistribution):
        return ", ".join(str(choice) for choice in distribution.choices)
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    text = f"{distribution.low:g} to {distribution.high:g}"
    if distribution.step not in (None, 1):
        text += f", in steps of {distribution.step:g}"
    return text + ", log scale" * distribution.log
