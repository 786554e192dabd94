"""The pages of docs/: their links lead somewhere, their commands are run."""

import re
from pathlib import Path

import documents
import pytest

from search_spaces import load_space
from tune.options import parse_options

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TUTORIAL = ROOT / "docs" / "tutorial.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_index_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in index, page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_searches_have_options_that_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for line in re.findall(r"^ *python -m tune\.run (.*)$", text, re.MULTILINE):
        parse_options(line.partition("#")[0].split())  # ends the test where one does not


def test_space_of_the_tutorial_loads() -> None:
    (code,) = documents.blocks(TUTORIAL, "python")
    Path("my_space.py").write_text(code, encoding="utf-8")
    space = load_space("my_space.py")
    assert space.name == "mine" and space.start() is not None
    assert [baseline.name for baseline in space.baselines] == ["what I use now"]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_tutorial_runs_from_its_beginning_to_its_end() -> None:
    Path("my_space.py").write_text(documents.blocks(TUTORIAL, "python")[0], encoding="utf-8")
    sentence = "Alice was beginning to get very tired of sitting by her sister on the bank. "
    Path("book.txt").write_text(sentence * 400, encoding="utf-8")
    lines = documents.commands(TUTORIAL)
    others = [line for line in lines if not line.startswith("python ")]
    documents.run(line for line in lines if line.startswith("python "))
    # test_trackers.py starts these two.
    assert [line.split()[0] for line in others] == ["tensorboard", "optuna-dashboard"]
    assert list(Path(others[0].split()[2]).glob("trial_*/events*"))
    assert Path(others[1].split()[1]).is_file()
    assert "at each temperature" in Path("results/mine/samples.md").read_text().lower()


@pytest.mark.long
@pytest.mark.timeout(300)
def test_commands_of_the_page_on_the_search_run() -> None:
    sentence = "Alice was beginning to get very tired of sitting by her sister on the bank. "
    Path("book.txt").write_text(sentence * 100, encoding="utf-8")
    documents.run(documents.commands(ROOT / "docs" / "search.md"))
