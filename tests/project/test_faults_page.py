"""docs/faults.md names tests that exist."""

import re

from repository import ROOT

PAGE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")


def test_each_row_names_a_test_that_exists() -> None:
    there = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.splitlines()
        if line.startswith("| ")
    ]
    faults = [cells for cells in rows if cells[0] != "fault"]
    assert len(faults) >= 20
    named = ""
    for cells in faults:
        assert len(cells) == 4, cells
        named = named if cells[3] == "the same" else cells[3].strip("`")
        assert named in there, cells
