"""A baseline: a known configuration with which a search is compared."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from model.config import TrialConfig
from model.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """A configuration with which the search is compared; ASHA never stops it.

    Attributes:
        name: Its name in reports; not empty.
        params: TrialConfig fields that differ from the space's base.
        documented_nats_per_char: Final training loss that its source reports, if any.
        documented_seconds: Training time that its source reports, if any.

    Raises:
        ConfigError: The name is missing or empty.
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
    """Return baselines that set these fields themselves, to the base's values if not set yet."""
    values = {field: getattr(base, field) for field in fields}
    return tuple(
        dataclasses.replace(baseline, params={**values, **baseline.params})
        for baseline in baselines
    )


def check_name(whose: str, name: object) -> None:
    """Reject a name that reports cannot show: a trial without a name is not a baseline.

    Raises:
        ConfigError: It is not a string, or it is empty.
    """
    if not isinstance(name, str) or not name.strip():
        raise ConfigError(f"{whose} must have a name, got {name!r}")
