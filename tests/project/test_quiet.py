"""What libraries warn of never reaches the stderr of a command."""

import dataclasses
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from hand_made_run import STUDY, curve, loaded_run
from model.system.command_line import ended_quietly
from repository import ROOT
from search_spaces import load_space
from tune.records.run_folder import RunFolder
from tune.records.trial import Status, TrialRecord
from tune.reporting.axes import axis_shares

pytestmark = pytest.mark.usefixtures("measured_machine")

EXTENDED = load_space("extended")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONWARNINGS", None)
    return subprocess.run(
        [sys.executable, *words], env=environment, capture_output=True, text=True
    )


def trials(*, num_words: int, step: float = 0.01) -> list[TrialRecord]:
    """Twelve trials, some of them of words, of which alone there is an axis."""
    base = EXTENDED.base
    return [
        TrialRecord(
            number=number,
            config=dataclasses.replace(
                base, unit="word" if number < num_words else "char", dropout=number / 40
            ),
            status=Status.COMPLETE,
            epochs=curve(number, [2.0 + step * number]),
        )
        for number in range(12)
    ]


@pytest.mark.slow
def test_library_of_a_command_warns_in_vain_but_where_that_is_asked_for() -> None:
    code = (
        "import warnings; from model.system.command_line import ended_quietly\n"
        "ended_quietly('old', lambda: warnings.warn('old', {category}, 2) or 0)"
    )
    for category in ("UserWarning", "FutureWarning", "RuntimeWarning", "DeprecationWarning"):
        program = ["-c", code.format(category=category)]
        assert run(*program).stderr == ""
        assert "old" in run("-W", "default", *program).stderr


def test_warnings_are_errors_of_tests_in_a_command_too() -> None:
    with pytest.raises(UserWarning, match="old"):
        ended_quietly("old", lambda: warnings.warn("old", stacklevel=2) or 0)  # type: ignore[func-returns-value]


@pytest.mark.slow
def test_search_is_quiet_of_what_a_space_file_imports() -> None:
    Path("old.py").write_text("import warnings\nwarnings.warn('old')\nSPACE = 1\n", "utf-8")
    done = run("-m", "tune.run", "--space", "old.py", "--dry-run")
    rule = "a space file must define SPACE as a SearchSpace: old.py has int"
    assert done.stderr == f"tune.run: {rule}\n"


@pytest.mark.parametrize(("num_words", "step"), [(2, 0.01), (0, 0.0), (12, 0.01), (1, 0.0)])
def test_importance_of_few_or_equal_trials_warns_of_nothing(num_words: int, step: float) -> None:
    run = loaded_run(trials(num_words=num_words, step=step), space=EXTENDED)
    shares = axis_shares(run, resamples=5)  # pytest makes an error of a warning
    assert shares["share"].sum() == pytest.approx(1.0) or shares.empty


@pytest.mark.slow
def test_report_is_quiet() -> None:
    study = dataclasses.replace(STUDY, space=EXTENDED)
    RunFolder.create(Path("few").absolute(), study).write_tables(trials(num_words=2))
    done = run("-m", "tune.report", "few")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Importance" in done.stdout or "importance" in done.stdout
