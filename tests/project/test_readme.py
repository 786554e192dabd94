"""Every command that README.md shows is run."""

import re
from pathlib import Path

import pytest

import documents
from repository import ROOT
from search_spaces import SPACE_NAMES, load_space
from tune.sampling.samplers import SAMPLERS


def blocks(language: str) -> list[str]:
    return documents.blocks(ROOT / "README.md", language)


def commands() -> list[str]:
    return documents.commands(ROOT / "README.md")


def test_the_two_commands_that_set_everything_up_are_make_targets() -> None:
    made = [command for command in commands() if command.startswith("make ")]
    assert made == ["make run", "make run", "make test"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in set(made):
        assert re.search(rf"^{command.split()[1]}: .venv/\S*installed", makefile, re.MULTILINE)
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_space_of_the_readme_has_ten_lines_and_loads() -> None:
    (code,) = blocks("python")
    Path("my_space.py").write_text(code, encoding="utf-8")
    assert load_space("my_space.py").name == "mine"
    assert len([line for line in code.splitlines() if line]) <= 10


def test_other_programs_that_the_readme_shows_are_installed_by_the_line_before_them() -> None:
    lines = [line for line in commands() if not line.startswith(("python ", "make "))]
    names = [line.split()[0] for line in lines]
    assert names == ["python3", "pip", "tensorboard", "optuna-dashboard"]
    _, _, _, file, *packages = lines[1].split()
    pinned = (ROOT / file).read_text(encoding="utf-8")
    assert {*packages} >= {"tensorboard", "optuna-dashboard", "mlflow-skinny", "argcomplete"}
    for package in packages:
        assert re.search(rf"^{package}==", pinned, re.MULTILINE), package
    (torch,) = re.findall(r"torch==[\d.]+", lines[0])
    index = "https://download.pytorch.org/whl/cpu"  # test_deploy.py runs install.sh, which uses it
    assert f"\n{torch}\n" in pinned and lines[0].endswith(index)
    assert index in (ROOT / "deploy" / "install.sh").read_text(encoding="utf-8")


def test_spaces_have_the_trials_that_the_readme_says() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| (\d+) \|", text, re.MULTILINE)
    assert {name for name, _ in rows} == set(SPACE_NAMES)
    for name, trials in rows:
        assert load_space(name).budget.trials == int(trials), name


def test_samplers_of_the_readme_are_all_there_are() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for sampler in SAMPLERS:
        assert f"`{sampler}`" in text, sampler


@pytest.mark.long
@pytest.mark.timeout(4_500)
def test_commands_run_in_order() -> None:
    Path("my_space.py").write_text(blocks("python")[0], encoding="utf-8")
    sentence = "Alice was beginning to get very tired of sitting by her sister on the bank. "
    Path("book.txt").write_text(sentence * 2_000, encoding="utf-8")
    run = [command for command in commands() if command.startswith("python ")]
    assert len(run) == 11
    documents.run(run)
    assert Path("results/mine/report.html").exists()
