"""Every command that README.md shows is run."""

import re
import subprocess
import sys
from pathlib import Path

import documents
import pytest
import torch

from model.checkpoint import load_checkpoint
from model.sampler import SamplingOptions, write_passages
from search_spaces import load_space

ROOT = Path(__file__).resolve().parents[1]


def blocks(language: str) -> list[str]:
    return documents.blocks(ROOT / "README.md", language)


def commands() -> list[str]:
    return documents.commands(ROOT / "README.md")


def test_the_two_commands_that_set_everything_up_are_make_targets() -> None:
    made = [command for command in commands() if command.startswith("make ")]
    assert made == ["make run", "make test"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in made:
        assert re.search(rf"^{command.split()[1]}: .venv/\S*installed", makefile, re.MULTILINE)
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_space_of_the_readme_has_ten_lines_and_loads() -> None:
    code, _ = blocks("python")
    Path("my_space.py").write_text(code, encoding="utf-8")
    assert load_space("my_space.py").name == "mine"
    assert len([line for line in code.splitlines() if line]) <= 10


def test_tree_names_each_file_once() -> None:
    (tree,) = [block for block in blocks("text") if block.startswith("model/")]
    for package in ("model", "search_spaces", "tune"):
        for path in (ROOT / package).glob("*.py"):
            if package != "search_spaces" and path.stem != "__init__":
                assert len(re.findall(rf"\b{path.name}", tree)) >= 1, path


def test_script_without_this_project_writes_what_the_network_does(
    trained_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, script = blocks("python")
    assert len([line for line in script.splitlines() if line]) <= 13
    assert not re.search(r"^(from|import) (model|tune|search_spaces)", script, re.MULTILINE)
    greedy = script.replace("results/mine/checkpoints/01", str(trained_checkpoint)).replace(
        "torch.multinomial((logits / 0.8).softmax(0), 1)", "logits.argmax()"
    )
    with torch.no_grad():
        exec(greedy, {})
    written = capsys.readouterr().out.removesuffix("\n")
    model, meta = load_checkpoint(trained_checkpoint)
    (expected,) = write_passages(
        model,
        meta.vocabulary,
        prime=written[0],
        cleaning="lower",
        num_chars=300,
        options=SamplingOptions(temperature=0.0),
    )
    assert written[1:] == expected


@pytest.mark.long
@pytest.mark.timeout(900)
def test_commands_run_in_order() -> None:
    Path("my_space.py").write_text(blocks("python")[0], encoding="utf-8")
    sentence = "Alice was beginning to get very tired of sitting by her sister on the bank. "
    Path("book.txt").write_text(sentence * 2_000, encoding="utf-8")
    run = [command for command in commands() if command.startswith("python ")]
    assert len(run) == 11
    documents.run(run)
    assert Path("results/mine/report.html").exists()
    lines = [line.removeprefix(">>> ") for line in blocks("pycon")[0].splitlines()]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
