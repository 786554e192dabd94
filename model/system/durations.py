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
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def format_range(low: float, high: float) -> str:
    """Return a range of seconds in words, no finer than one can mean it.

    >>> format_range(1475, 4275)
    '25m to 1h10m'
    """
    texts = dict.fromkeys(_rough(seconds) for seconds in (low, high))
    return " to ".join(texts)


def counted(number: float, what: str) -> str:
    """Return how many there are of something.

    >>> counted(1, "trial"), counted(1_825, "epoch"), counted(0.375, "epoch")
    ('1 trial', '1,825 epochs', '0.375 epochs')
    """
    number = round(number, 4)
    number = int(number) if number == int(number) else number
    return f"{number:,} {what}" + ("s" if number != 1 else "")


def _rough(seconds: float) -> str:
    """Return seconds rounded: to 5 s below two minutes, to 1 min below an hour, else to 5 min."""
    step = 5 if seconds < 120 else 60 if seconds < 3_600 else 300
    hours, rest = divmod(max(step, round(seconds / step) * step), 3_600)
    minutes, rest = divmod(rest, 60)
    parts = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number)
