"""Every command that README.md shows is run."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from search_spaces import load_space

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    lines = "\n".join(blocks("sh")).splitlines()
    return [line.partition("#")[0].strip() for line in lines if line.strip()]


def test_the_two_commands_that_set_everything_up_are_make_targets() -> None:
    made = [command for command in commands() if command.startswith("make ")]
    assert made == ["make run", "make test"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in made:
        assert re.search(rf"^{command.split()[1]}: .venv/installed", makefile, re.MULTILINE)
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_space_of_the_readme_has_ten_lines_and_loads() -> None:
    (code,) = blocks("python")
    Path("my_space.py").write_text(code, encoding="utf-8")
    assert load_space("my_space.py").name == "mine"
    assert len([line for line in code.splitlines() if line]) <= 10


def test_tree_names_each_file_once() -> None:
    (tree,) = [block for block in blocks("text") if block.startswith("model/")]
    for package in ("model", "search_spaces", "tune"):
        for path in (ROOT / package).glob("*.py"):
            if package != "search_spaces" and path.stem != "__init__":
                assert len(re.findall(rf"\b{path.name}", tree)) >= 1, path


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_commands_run_in_order() -> None:
    Path("my_space.py").write_text(blocks("python")[0], encoding="utf-8")
    sentence = "Alice was beginning to get very tired of sitting by her sister on the bank. "
    Path("book.txt").write_text(sentence * 2_000, encoding="utf-8")
    run = [command for command in commands() if command.startswith("python ")]
    assert len(run) == 8
    for command in run:
        shortened = command.replace("--time-budget 10m", "--time-budget 10s")
        shortened = shortened.replace(
            "--name mine", "--name mine --finalists 1 --finalist-seeds 1"
        )
        words = shlex.split(shortened)
        done = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        assert done.stderr == "", command
    assert Path("results/mine/report.html").exists()
    lines = [line.removeprefix(">>> ") for line in blocks("pycon")[0].splitlines()]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
