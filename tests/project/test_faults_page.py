"""docs/faults.md and docs/security.md name tests that exist."""

import re

from repository import ROOT

PAGE, SECURITY = (
    (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("faults", "security")
)
FILES = list((ROOT / "tests").rglob("test_*.py"))


def all_tests() -> set[str]:
    return {
        name
        for path in FILES
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }


def test_each_row_names_a_test_that_exists() -> None:
    there = all_tests()
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


def test_security_page_names_tests_that_exist() -> None:
    named = set(re.findall(r"`(test_[\w.]+)`", SECURITY))
    assert len(named) >= 8
    assert named <= all_tests() | {path.name for path in FILES}
