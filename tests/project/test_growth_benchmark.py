"""benchmarks/growth.py: its picture, and each of its measurements, small."""

import xml.etree.ElementTree as ElementTree

import pytest

from benchmarks.growth import Cost, cost_of_character, cost_of_report, made_up_ascii, picture


def test_picture_has_a_line_for_each_kind_and_a_point_for_each_number() -> None:
    costs = {
        "trial": [
            Cost(num_before=number, seconds=1e-2, at_once_seconds=1e-3, memory_bytes=1.0)
            for number in (100, 1_000)
        ],
        "report": [Cost(num_before=10, seconds=1e-5, at_once_seconds=0.0, memory_bytes=1.0)],
    }
    drawn = ElementTree.fromstring(picture(costs))
    lines = drawn.findall("{http://www.w3.org/2000/svg}polyline")
    points = [line.attrib["points"].split() for line in lines]
    assert [len(each) for each in points] == [2, 1]
    (left, height), (right, same_height) = (point.split(",") for point in points[0])
    assert float(left) < float(right) and height == same_height
    assert float(points[1][0].split(",")[1]) > float(height)  # cheaper lies lower


@pytest.mark.slow
def test_reports_and_characters_are_measured() -> None:
    for cost in (cost_of_report(2_000), cost_of_character(20_000)):
        assert cost.seconds > 0
    assert cost_of_report(2_000).at_once_seconds > 0
    text = made_up_ascii(5_000)
    assert len(text) == 5_000 and text.isascii() and text == made_up_ascii(5_000)
