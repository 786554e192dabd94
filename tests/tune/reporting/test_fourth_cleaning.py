"""A cleaning is one entry of CLEANINGS: a search reads it, and its reports describe it."""

import os
from pathlib import Path

import pytest

from tiny_search import run_command, trials_of, write_inputs

ADDED = """
from model.text.cleaning import CLEANINGS, Cleaning

CLEANINGS["digits"] = Cleaning(
    char=lambda char: "0" if char.isdigit() else char, description="the text with one digit"
)
"""


@pytest.mark.slow
@pytest.mark.long
def test_fourth_cleaning_is_searched_reported_and_sampled(
    tiny_text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In each process of the search, as an entry in cleaning.py itself would be.
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(ADDED, encoding="utf-8")
    known = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}/site:{known}".rstrip(":"))
    flags = write_inputs(tiny_text.replace("six", "6"), trials=3)
    space = Path("tiny.py").read_text(encoding="utf-8")
    for old, new in (('"cased", "lower", "letters"', '"digits",'), ('": "lower"', '": "digits"')):
        assert old in space
        space = space.replace(old, new)
    Path("tiny.py").write_text(space, encoding="utf-8")
    done = run_command([*flags, "--name", "four", "--finalists", "1", "--finalist-seeds", "1"])
    assert done.returncode == 0, done.stderr
    assert set(trials_of("four")["cleaning"]) == {"digits"}
    page, report, samples = (
        (Path("results/four") / name).read_text(encoding="utf-8")
        for name in ("report.html", "report.md", "samples.md")
    )
    assert "It reads the text with one digit, character by character" in " ".join(page.split())
    assert "| digits |" in report
    assert "digits" in samples
