"""benchmarks/parts.py on a tiny text."""

from pathlib import Path

import pytest

from benchmarks.parts import main


@pytest.mark.slow
def test_table_has_a_row_a_part_and_the_first_takes_once_its_seconds(
    tiny_text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("text.txt").write_text(tiny_text, encoding="utf-8")
    main(["text.txt", "--chars", "1", "--parts", "as it is", "tied weights"])
    head, _, *lines = capsys.readouterr().out.splitlines()
    assert head == "| | text.txt, bits | times its seconds | parameters |"
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [row[0] for row in rows] == ["as it is", "tied weights"]
    assert rows[0][2] == "1.0" and float(rows[1][2]) > 0
    assert all(0 < float(row[1].split(" ± ")[0]) < 20 for row in rows)
    assert rows[0][3] != rows[1][3]  # tied weights are fewer
