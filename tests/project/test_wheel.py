"""The package as users install it: the wheel in an environment of its own, used elsewhere."""

import json
import os
import shutil
import site
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from repository import ROOT
from tiny_search import write_inputs

PACKAGES = ("model", "search_spaces", "tune")
DATA = {
    *(f"{package}/py.typed" for package in PACKAGES),
    "model/generation/reference_passages.json",
    "model/network/kernels/lstm.cpp",
    "model/network/kernels/tiles.h",
}
NO_INDEX = ("Could not find a version", "NewConnectionError", "No matching distribution")


def pip(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *words]
    # A checkout on PYTHONPATH that was installed for editing is a distribution to pip.
    return subprocess.run(command, capture_output=True, text=True, env=without_pythonpath())


def without_pythonpath() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """The wheel, built of a copy: setuptools would leave its files in the checkout."""
    hidden = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "results")
    shutil.copytree(ROOT, tmp_path / "source", ignore=hidden)
    isolation = ["--no-build-isolation"] if find_spec("setuptools") else []
    words = ["--no-deps", *isolation, "--wheel-dir", str(tmp_path), str(tmp_path / "source")]
    built = pip("wheel", *words)
    if any(reason in built.stderr for reason in NO_INDEX):
        pytest.skip(f"setuptools is neither here nor in an index: {built.stderr.splitlines()[-1]}")
    assert built.returncode == 0, built.stderr
    (path,) = tmp_path.glob("*.whl")
    return path


def files_of_packages() -> set[str]:
    """Return the files of the checkout that a wheel must have, by their paths in it."""
    folders = [ROOT / package for package in PACKAGES]
    code = [path for folder in folders for path in folder.rglob("*.py")]
    templates = [path for path in (ROOT / "tune/reporting/templates").iterdir() if path.is_file()]
    assert len(code) > 100 and len(templates) >= 2
    return {path.relative_to(ROOT).as_posix() for path in (*code, *templates)} | DATA


def installed(wheel: Path, folder: Path) -> Path:
    """Install the wheel into a new environment; return its Python.

    The dependencies are those of this environment, whose own .pth files are not read there: it
    is a folder of modules to the new one, so that an editable install of this project is none.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    done = pip("--python", str(python), "install", "--no-deps", "--no-index", str(wheel))
    assert done.returncode == 0, done.stderr
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return python


@pytest.mark.slow
def test_wheel_has_all_files_and_works_from_another_folder(
    wheel: Path, tiny_text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == files_of_packages()
    # As in another project's checkout, whose commit is not this project's.
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    for words in (["init", "--quiet"], ["commit", "--quiet", "--allow-empty", "-m", "theirs"]):
        subprocess.run([*git, *words], check=True)
    python = installed(wheel, tmp_path / "venv")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    clean = without_pythonpath()

    def run(*words: str) -> str:
        done = subprocess.run([str(python), *words], env=clean, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), (words, done)
        return done.stdout

    code = f"import {', '.join(PACKAGES)}; print(*(p.__file__ for p in ({', '.join(PACKAGES)})))"
    for path in run("-c", code).split():
        assert Path(path).is_relative_to(tmp_path / "venv")
    assert "--or-resume" in run("-m", "tune.run", "--help")
    assert "--or-resume" in run(str(python.parent / "char-lstm-tune"), "run", "--help")
    flags = [*write_inputs(tiny_text, trials=3), "--finalists", "0", "--name", "installed"]
    run("-m", "tune.run", *flags)
    folder = Path("results/installed")
    assert json.loads((folder / "study.json").read_text())["git_commit"] is None
    for name in ("report.md", "report.html"):
        (folder / name).unlink()
    run("-m", "tune.report", str(folder))
    assert (folder / "report.md").read_text().startswith("# ")
    script = (ROOT / "tune/reporting/templates/report.js").read_text().strip()
    assert script in (folder / "report.html").read_text()
