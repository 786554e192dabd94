"""A baseline: a known configuration that a search is compared with."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from model.config import TrialConfig
from model.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """A configuration that the search is compared with; ASHA never stops it.

    Attributes:
        name: How reports call it; not empty.
        params: TrialConfig fields that differ from the space's base.
        documented_nats_per_char: Final training loss that its source reports, if any.
        documented_seconds: Training time that its source reports, if any.

    Raises:
        ConfigError: The name is none.
    """

    name: str
    params: Mapping[str, Any]
    documented_nats_per_char: float | None = None
    documented_seconds: float | None = None

    def __post_init__(self) -> None:
        check_name("a baseline", self.name)


def with_fields(
    baselines: Iterable[Baseline], base: TrialConfig, fields: Iterable[str]
) -> tuple[Baseline, ...]:
    """Return baselines that set these fields themselves: as a base has them, where they do not."""
    values = {field: getattr(base, field) for field in fields}
    return tuple(
        dataclasses.replace(baseline, params={**values, **baseline.params})
        for baseline in baselines
    )


def check_name(whose: str, name: object) -> None:
    """Refuse a name that reports cannot show: a trial without one is no baseline.

    Raises:
        ConfigError: It is no text, or empty.
    """
    if not isinstance(name, str) or not name.strip():
        raise ConfigError(f"{whose} must have a name, got {name!r}")
