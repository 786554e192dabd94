"""benchmarks/any_text.py: what its row says of a run."""

from benchmarks.any_text import row
from hand_made_run import FINALISTS, hand_made, loaded_run


def test_row_says_which_text_was_searched_and_how() -> None:
    line = row("sources", "10m", loaded_run(hand_made(), FINALISTS), 612.0, 3.1e9)
    assert line == (
        "| sources, sha256 70f0, `full`, seed 0 | 10m | 4 + 3 | 1.9600 | 1.9800, 3 seeds "
        "| 2.2666 | +12 | 3.1 |"
    )
