"""The command `char-lstm-tune`, and what happens beside another's files by the names of ours."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from model.system.command_line import OneLineParser
from repository import ROOT
from tiny_search import write_inputs
from tune import console

SCRIPT = "import sys\nfrom tune.console import run_command\nsys.exit(run_command())\n"
"""What pip writes into bin/."""


@pytest.fixture(autouse=True)
def _named_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OneLineParser, "is_console", False)


def run(*words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **more}
    return subprocess.run(
        [sys.executable, *words], env=environment, capture_output=True, text=True
    )


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "bin" / console.CONSOLE
    path.parent.mkdir()
    path.write_text(SCRIPT, encoding="utf-8")
    return path


def test_pyproject_names_the_command() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {console.CONSOLE: "tune.console:run_command"}
    commands = {"run", "report", "samples", "status", "control", "train", "score", "generate"}
    assert set(console.COMMANDS) == commands


@pytest.mark.parametrize("name", console.COMMANDS)
def test_each_word_is_a_command_that_is_named_so(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        console.main([name, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: char-lstm-tune {name} ") and "python -m" not in shown
    assert shown.partition("examples:")[2].count(f"char-lstm-tune {name} ") >= 3
    with pytest.raises(SystemExit) as ended:
        console.main([name, "--nonsense"])
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert told.startswith(f"char-lstm-tune {name}: ") and told.count("\n") == 1


def test_help_lists_the_commands_and_imports_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        console.main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"char-lstm-tune {name} " in shown for name in console.COMMANDS)
    for words in ([], ["rnu"]):
        with pytest.raises(SystemExit) as ended:
            console.main(words)
        assert ended.value.code == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_exit_code_is_that_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert console.main(["generate", "nowhere"]) == 2
    reference = ROOT / "results" / "reference"
    assert console.main(["report", str(reference / "full"), str(reference / "extended")]) == 0
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("char-lstm-tune sta", {"status "}),
        ("char-lstm-tune run --time-b", {"--time-budget "}),
        ("char-lstm-tune run --space f", {"full "}),
        ("char-lstm-tune generate --device ", {"cpu", "cuda"}),
    ],
)
def test_completions(line: str, expected: set[str], script: Path) -> None:
    pytest.importorskip("argcomplete", reason="pip install argcomplete")
    done = run(
        script,
        _ARGCOMPLETE="1",
        _ARGCOMPLETE_IFS="\n",
        _ARGCOMPLETE_STDOUT_FILENAME="completions",
        _ARGCOMPLETE_COMP_WORDBREAKS=" ",
        COMP_LINE=line,
        COMP_POINT=str(len(line)),
    )
    assert done.returncode == 0, done.stderr
    assert set(Path("completions").read_text(encoding="utf-8").split("\n")) == expected


@pytest.mark.parametrize("name", ["model.py", "model/__init__.py", "search_spaces.py"])
def test_what_shadows_a_package_is_named(name: str, script: Path) -> None:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text("", encoding="utf-8")
    done = run("-m", "tune.run", "--help")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert f"{str(Path(name).absolute())!r} stands before the package" in done.stderr
    assert "char-lstm-tune" in done.stderr
    imported = run("-c", "import tune")
    assert imported.stderr.splitlines()[-1].startswith("ImportError: ")
    done = run(script, "run", "--help")
    assert done.returncode == 0 and done.stderr == ""


def test_model_of_the_users_is_taken_by_python_and_left_alone_by_the_command(script: Path) -> None:
    """`python -m model.train` runs none of our code there: what it says is Python's."""
    Path("model.py").write_text("", encoding="utf-8")
    done = run("-m", "model.train", "--help")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "'model' is not a package" in done.stderr or "not found on 'model'" in done.stderr
    done = run(script, "train", "--help")
    assert (done.returncode, done.stderr) == (0, "") and "char-lstm-tune train" in done.stdout


def test_folder_without_code_by_the_name_of_ours_is_in_nobodys_way(tmp_path: Path) -> None:
    Path("model").mkdir()
    Path("model/weights.txt").write_text("", encoding="utf-8")
    assert run("-m", "tune.run", "--help").returncode == 0
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "tune").symlink_to(ROOT / "tune")
    # -S: without the other packages, which Ray may unpack later.
    done = run("-S", "-c", "import tune", PYTHONPATH=str(tmp_path / "alone"))
    assert (done.returncode, done.stderr) == (0, "")


def test_packages_need_not_lie_side_by_side(tmp_path: Path) -> None:
    """Ray unpacks each into a folder of its own on the nodes of a cluster."""
    folders = []
    for name in ("model", "search_spaces", "tune"):
        folders.append(tmp_path / f"of_{name}")
        folders[-1].mkdir()
        (folders[-1] / name).symlink_to(ROOT / name)
    done = run("-m", "tune.run", "--help", PYTHONPATH=os.pathsep.join(map(str, folders)))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_search_beside_another_model_runs(script: Path, tiny_text: str) -> None:
    flags = write_inputs(tiny_text, trials=3)
    for name in ("model.py", "search_spaces.py", "tune.py"):
        Path(name).write_text("raise RuntimeError('another')\n", encoding="utf-8")
    done = run(script, "run", *flags, "--finalists", "0", "--name", "one")
    assert (done.returncode, done.stderr) == (0, "")
    trials = Path("results/one/trials.csv").read_text(encoding="utf-8")
    assert "another" not in trials and "FAILED" not in trials
