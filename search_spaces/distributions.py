"""Optuna's distributions in the words that the rest needs: bounds, membership, description."""

from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Return whether a value lies in a distribution, both bounds included, and on its steps."""
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    if not distribution.low <= value <= distribution.high:
        return False
    if distribution.step is None:
        return True
    # As optuna 5.0 judges when a trial is made from values: what it refuses must not begin.
    steps = (value - distribution.low) / distribution.step
    return bool(abs(steps - round(steps)) < 1e-8)


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
