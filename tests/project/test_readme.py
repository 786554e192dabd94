"""Every command that README.md shows is run."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest

import documents
from repository import ROOT
from tune.records.tables import TRIAL_TABLE


def commands() -> list[str]:
    return documents.commands(ROOT / "README.md")


def test_the_two_commands_that_set_everything_up_are_make_targets() -> None:
    made = [command for command in commands() if command.startswith("make ")]
    assert made == ["make run", "make test"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in made:
        assert re.search(rf"^{command.split()[1]}: .venv/\S*installed", makefile, re.MULTILINE)
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_torch_of_the_readme_is_the_one_that_is_pinned() -> None:
    (line,) = [line for line in commands() if not line.startswith(("python ", "make "))]
    (torch,) = re.findall(r"torch==[\d.]+", line)
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    index = "https://download.pytorch.org/whl/cpu"  # test_deploy.py runs install.sh, which uses it
    assert f"\n{torch}\n" in pinned and line.endswith(index)
    assert index in (ROOT / "deploy" / "install.sh").read_text(encoding="utf-8")


def test_pythons_of_the_readme_are_those_that_are_promised_and_that_ray_has_wheels_for() -> None:
    classifiers = importlib.metadata.metadata("ray").get_all("Classifier") or []
    minors = [int(found[1]) for each in classifiers if (found := re.search(r":: 3\.(\d+)$", each))]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == f">=3.11,<3.{max(minors) + 1}"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"Python 3.11 to 3.{max(minors)}" in readme
    assert project["classifiers"] == ["Operating System :: POSIX :: Linux"]
    assert "Linux with glibc" in readme


def test_claims_are_one_table_whose_rows_say_where_they_were_measured() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    _, _, measured = text.partition("## What was measured\n")
    rows = re.findall(r"^\| (?!claim|---).*\|$", measured.partition("\n## ")[0], re.MULTILINE)
    assert len(rows) >= 5
    for row in rows:  # test_docs.py follows the links
        assert re.search(r"\]\((docs/results|benchmarks/README)\.md(#[\w-]+)?\) \|$", row), row


@pytest.mark.long
@pytest.mark.timeout(4_500)
def test_commands_run_in_order() -> None:
    sentence = "Alice was beginning to get very tired of sitting by her sister on the bank. "
    Path("book.txt").write_text(sentence * 60, encoding="utf-8")
    run = [command for command in commands() if command.startswith("python ")]
    assert len(run) == 8
    documents.run(run)
    assert len(TRIAL_TABLE.read(Path("results/ten/trials.csv"))) == 10
    assert Path("results/ten/report.html").exists()
