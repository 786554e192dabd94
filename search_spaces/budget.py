"""How much a search may spend, and at which reports ASHA compares trials."""

import dataclasses
from typing import Any

from model.config import FIELD_NAMES, TrialConfig, check_type
from model.errors import ConfigError, unknown_choice
from model.training.schedule import constant_reports

MAX_TRIALS = 1_000_000
"""A plan simulates all of them; the driver was measured with 10,000."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """How much a search may spend, and how ASHA spends it.

    Attributes:
        trials: Total number of trials, baselines included; 1 to MAX_TRIALS.
        time_budget_seconds: Seconds for the search, above 0; None means no limit.
        grace_period_epochs: The first rung, before which no trial is stopped; at least 1. If an
            epoch has several reports, it counts reports.
        reduction_factor: Ratio of each rung to the one before; about one in this many trials
            continues past a rung; above 1.
        compare_within: Fields of TrialConfig with a few values, such as `unit`: trials that
            differ in one are not compared at the rungs, and the best of each group is a
            finalist.
        promotes: Whether a trial waits at its rung until it is among the best there, and then
            continues; False judges each once, on arrival, as in runs before 2026-11-29.

    Raises:
        ConfigError: A value is out of its range.
    """

    trials: int
    time_budget_seconds: float | None = None
    grace_period_epochs: int = 2
    reduction_factor: int = 3
    compare_within: tuple[str, ...] = ()
    promotes: bool = True

    def __post_init__(self) -> None:
        for name in ("trials", "grace_period_epochs", "reduction_factor"):
            check_type(name, getattr(self, name), int)
        if not isinstance(self.promotes, bool):
            raise ConfigError(f"promotes must be True or False, got {self.promotes!r}")
        if self.time_budget_seconds is not None:
            check_type("time_budget_seconds", self.time_budget_seconds, float)
        for name in ("trials", "grace_period_epochs"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.trials > MAX_TRIALS:
            raise ConfigError(f"trials must be at most {MAX_TRIALS:,}, got {self.trials:,}")
        if self.time_budget_seconds is not None and not self.time_budget_seconds > 0:
            raise ConfigError(f"time_budget must be above 0 s, got {self.time_budget_seconds:g}")
        if self.reduction_factor <= 1:
            raise ConfigError(f"reduction_factor must be above 1, got {self.reduction_factor}")
        names = self.compare_within
        if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
            raise ConfigError(f'compare_within must be a tuple such as ("unit",), got {names!r}')
        for name in names:
            if name not in FIELD_NAMES:
                raise ConfigError(unknown_choice("field of compare_within", name, FIELD_NAMES))

    def group(self, config: TrialConfig) -> tuple[Any, ...]:
        """Return the values that another trial must have to be compared with this one."""
        return tuple(getattr(config, name) for name in self.compare_within)

    def rungs(self, max_reports: int) -> list[int]:
        """Return the reports at which ASHA compares trials.

        >>> Budget(trials=1, grace_period_epochs=2, reduction_factor=3).rungs(60)
        [2, 6, 18, 54]
        """
        rungs = []
        rung = self.grace_period_epochs
        while rung <= max_reports:
            rungs.append(rung)
            rung *= self.reduction_factor
        return rungs

    def judged_reports(self, config: TrialConfig, max_reports: int) -> dict[int, int]:
        """Return, for each rung of a trial, the report after which ASHA decides on it.

        A rung in the last part of a training, where the learning rate falls, is moved to the
        last report before that part: values from it are comparable with no other trial's. If
        that report would be before the first rung, the rung stays.

        >>> budget = Budget(trials=1, grace_period_epochs=1, reduction_factor=3)
        >>> budget.judged_reports(TrialConfig(epochs=10, decay_fraction=0.3), 64)
        {1: 1, 3: 3, 9: 7}
        """
        constant = constant_reports(config)
        last = constant if constant >= self.grace_period_epochs else config.num_reports
        rungs = self.rungs(max_reports)
        return {rung: min(rung, last) for rung in rungs if rung < config.num_reports}
