"""What a search space is: axes, what they start from, and how much to spend.

Axes are Optuna's own distributions. Every axis is a field of TrialConfig, and a space whose
extremes TrialConfig refuses is refused before anything starts.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
    json_to_distribution,
)

from model.config import FIELD_NAMES, TrialConfig
from model.errors import ConfigError, unknown_choice

PER_TRIAL_FIELDS = ("seed",)
"""Fields that the search itself sets for each trial; no space may name them as an axis."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """A configuration that runs before all others and is never stopped early.

    Attributes:
        name: How reports call it.
        params: TrialConfig fields that differ from the space's base.
        documented_nats_per_char: Final training loss that its source reports, if any.
        documented_seconds: Training time that its source reports, if any.
    """

    name: str
    params: Mapping[str, Any]
    documented_nats_per_char: float | None = None
    documented_seconds: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """How much a search may spend, and how ASHA spends it.

    Attributes:
        trials: Trials in all, baselines included; at least 1.
        time_budget_seconds: Seconds for the search, above 0; None is without limit.
        grace_period_epochs: The first rung: no trial is stopped before; at least 1.
        reduction_factor: Each rung stands this many times as high as the one before, and
            about one trial in so many goes on from it; above 1.

    Raises:
        ConfigError: A value is out of its range.
    """

    trials: int
    time_budget_seconds: float | None = None
    grace_period_epochs: int = 2
    reduction_factor: int = 3

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise ConfigError(f"trials must be at least 1, got {self.trials}")
        if self.time_budget_seconds is not None and not self.time_budget_seconds > 0:
            raise ConfigError(f"time_budget must be above 0 s, got {self.time_budget_seconds:g}")
        if self.grace_period_epochs < 1:
            raise ConfigError(
                f"grace_period_epochs must be at least 1, got {self.grace_period_epochs}"
            )
        if self.reduction_factor <= 1:
            raise ConfigError(f"reduction_factor must be above 1, got {self.reduction_factor}")

    def rungs(self, max_epochs: int) -> list[int]:
        """Return the epochs at which ASHA compares trials.

        >>> Budget(trials=1, grace_period_epochs=2, reduction_factor=3).rungs(60)
        [2, 6, 18, 54]
        """
        rungs = []
        rung = self.grace_period_epochs
        while rung <= max_epochs:
            rungs.append(rung)
            rung *= self.reduction_factor
        return rungs


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SearchSpace:
    """A search space.

    Attributes:
        name: How it is called on the command line and in reports.
        description: One line for people.
        base: The values of all fields that are no axis. Where its values of the axes
            lie inside, it is tried right after the baselines.
        distributions: Axis to Optuna distribution; both bounds of a range are included.
        baselines: Run first, never stopped early.
        budget: What the search may spend unless the command line says otherwise.

    Raises:
        ConfigError: An axis is no TrialConfig field, an extreme is refused by TrialConfig,
            or a baseline lies outside the axes.
    """

    name: str
    description: str
    base: TrialConfig
    distributions: Mapping[str, BaseDistribution]
    baselines: tuple[Baseline, ...] = ()
    budget: Budget

    def __post_init__(self) -> None:
        for axis, distribution in self.distributions.items():
            if axis not in FIELD_NAMES:
                raise ConfigError(unknown_choice("axis", axis, FIELD_NAMES))
            if axis in PER_TRIAL_FIELDS:
                raise ConfigError(f"the search sets {axis} for each trial; it can be no axis")
            if not isinstance(distribution, BaseDistribution):
                raise ConfigError(
                    f"axis {axis} must be an Optuna distribution, got {distribution!r}"
                )
            for value in extremes(distribution):
                self.config({axis: value})
        if not self.distributions and not self.baselines:
            raise ConfigError(f"space {self.name!r} must have an axis or a baseline")
        for baseline in self.baselines:
            self.config(baseline.params)
            outside = self._outside(baseline.params)
            if outside:
                raise ConfigError(f"baseline {baseline.name!r}: {outside}")

    @property
    def axes(self) -> list[str]:
        """What is searched; without axes, what the baselines set."""
        return list(self.distributions) or list(self.baselines[0].params)

    def config(self, params: Mapping[str, Any]) -> TrialConfig:
        """Return the base with some fields replaced.

        Raises:
            ConfigError: A name is no field, or a value breaks its rule.
        """
        return TrialConfig.from_dict({**self.base.to_dict(), **params})

    def values(self, field: str) -> list[Any]:
        """Return the extreme values a field takes in this space; all choices of a category."""
        found = [self.config(baseline.params).to_dict()[field] for baseline in self.baselines]
        if field in self.distributions:
            found += extremes(self.distributions[field])
        elif self.distributions or not self.baselines:
            found.append(self.base.to_dict()[field])
        return list(dict.fromkeys(found))

    def max_trials(self) -> int | None:
        """Return how many trials the space can give: its baselines if it has no axes."""
        return None if self.distributions else len(self.baselines)

    def to_json(self) -> dict[str, Any]:
        """Return the space as JSON values; `from_json` reads them back."""
        return {
            "name": self.name,
            "description": self.description,
            "base": self.base.to_dict(),
            "distributions": {
                axis: json.loads(distribution_to_json(distribution))
                for axis, distribution in self.distributions.items()
            },
            "baselines": [
                {**dataclasses.asdict(baseline), "params": dict(baseline.params)}
                for baseline in self.baselines
            ],
            "budget": dataclasses.asdict(self.budget),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "SearchSpace":
        """Build a space from what `to_json` gave."""
        return cls(
            name=values["name"],
            description=values["description"],
            base=TrialConfig.from_dict(values["base"]),
            distributions={
                axis: json_to_distribution(json.dumps(distribution))
                for axis, distribution in values["distributions"].items()
            },
            baselines=tuple(Baseline(**baseline) for baseline in values["baselines"]),
            budget=Budget(**values["budget"]),
        )

    def start(self) -> dict[str, Any] | None:
        """Return the base's values of the axes, or None where they lie outside."""
        params = {axis: getattr(self.base, axis) for axis in self.distributions}
        return params if params and not self._outside(params) else None

    def _outside(self, params: Mapping[str, Any]) -> str:
        """Return the rule that a point of the space breaks, or an empty text."""
        for axis, distribution in self.distributions.items():
            if axis not in params:
                return f"it must set the axis {axis}"
            value = params[axis]
            if isinstance(distribution, CategoricalDistribution):
                inside = value in distribution.choices
            else:
                assert isinstance(distribution, (IntDistribution, FloatDistribution))
                inside = distribution.low <= value <= distribution.high
            if not inside:
                return f"{axis} must be in {describe(distribution)}, got {value!r}"
        return ""


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
