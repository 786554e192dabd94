import pytest

from model.errors import ConfigError
from model.system.durations import format_seconds, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("2h30m", 9_000), ("1.5h", 5_400), ("1d", 86_400)],
)
def test_parse(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "10 m", "-5m", "10x", "10m!", "0s", "10min"])
def test_parse_refuses(text: str) -> None:
    with pytest.raises(ConfigError, match="a duration must"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59.6, "1m0s"), (3_600, "1h0m0s"), (9_015, "2h30m15s")]
)
def test_format(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text
