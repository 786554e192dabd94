"""Imports of a process that is ours are not held up by looks for garbage."""

import subprocess
import sys

import pytest

from repository import ROOT

_SHOWN = "import gc; print(gc.get_threshold()[0])"
_PRELOADED = """
import importlib
from tune.cluster.ray_environment import _ENVIRONMENT
first, *_ = _ENVIRONMENT["RAY_preload_python_modules"].split(",")
importlib.import_module(first)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        pytest.param(_PRELOADED, id="worker"),
        pytest.param("from tune.report import main; main(['no/run'])", id="command"),
        pytest.param(
            "from tune.run import main; main(['--space', 'no_space', '--name', 'x'])", id="search"
        ),
    ],
)
def test_our_processes_seldom_look_for_garbage(code: str) -> None:
    assert threshold_after(code) == 10_000


@pytest.mark.slow
def test_notebook_is_left_as_it_is() -> None:
    assert threshold_after("import tune; tune.search") == threshold_after("")


def threshold_after(code: str) -> int:
    words = [sys.executable, "-c", f"{code}\n{_SHOWN}"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.splitlines()[-1])
