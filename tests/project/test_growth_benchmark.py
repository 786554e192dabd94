"""benchmarks/growth.py: each of its measurements, small."""

from benchmarks.growth import cost_of_character, cost_of_report, made_up_ascii


def test_reports_and_characters_are_measured() -> None:
    for cost in (cost_of_report(2_000), cost_of_character(20_000)):
        assert cost.seconds > 0
    assert cost_of_report(2_000).at_once_seconds > 0
    text = made_up_ascii(5_000)
    assert len(text) == 5_000 and text.isascii() and text == made_up_ascii(5_000)
