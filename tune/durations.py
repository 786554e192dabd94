"""Durations as people write them: 90s, 10m, 2h30m."""

import re

from model.errors import ConfigError

_PART = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def parse_duration(text: str) -> float:
    """Return the seconds that a text like 2h30m stands for.

    >>> parse_duration("2h30m")
    9000.0

    Raises:
        ConfigError: The text is no duration, or not above 0.
    """
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ConfigError(f"a duration must look like 90s, 10m or 2h30m, got {text!r}")
    seconds = float(sum(float(number) * _SECONDS[unit] for number, unit in parts))
    if seconds <= 0:
        raise ConfigError(f"a duration must be above 0 s, got {text!r}")
    return seconds


def format_seconds(seconds: float) -> str:
    """Return seconds in words, to the second.

    >>> format_seconds(9015)
    '2h30m15s'
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h" * bool(hours) + f"{minutes}m" * bool(hours or minutes)
    return f"{text}{rest}s"
