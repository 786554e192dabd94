"""A search of networks that read bytes, from its plan to its report."""

import dataclasses
from pathlib import Path

import pandas as pd
import pytest

from model import generate, score
from model.config import TrialConfig
from model.scoring.dynamic import dynamic_seconds
from model.scoring.objective import prepare_corpus
from model.text.streams import split_text
from model.text.utf8 import NUM_BYTES
from search_spaces import load_space
from tiny_search import run_command, write_inputs
from tune import run
from tune.planning.finalist_budget import learning_seconds_of
from tune.planning.study import Study
from tune.records.study_file import StudySettings
from tune.records.trial import TrialRecord

pytestmark = pytest.mark.usefixtures("measured_machine")

TEXT = "Ça va, 漢字か? 🐇 naïve Zoë, déjà vu.\n" * 60
IN_BYTES = ["--fix", "unit=byte", "--fix", "cleaning=cased"]


@pytest.mark.slow
def test_plan_counts_bytes_whatever_is_fixed_first(capsys: pytest.CaptureFixture[str]) -> None:
    flags = write_inputs(TEXT)
    expected = f"cased, bytes       {len(split_text(TEXT).train.encode()):,} training bytes"
    for fixes in (IN_BYTES, [*IN_BYTES[2:], *IN_BYTES[:2]]):
        assert run.main([*flags, *fixes, "--dry-run"]) == 0
        assert expected in capsys.readouterr().out
    assert run.main([*flags, "--dry-run"]) == 0
    assert "training bytes" not in capsys.readouterr().out


def test_bytes_of_another_cleaning_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    flags = write_inputs(TEXT)
    assert run.main([*flags, "--fix", "unit=byte"]) == 2
    error = capsys.readouterr().err
    assert "cleaning must be cased with unit byte" in error and error.count("\n") == 1


def test_time_of_learning_on_counts_bytes() -> None:
    config = TrialConfig(cleaning="cased")
    study = Study(
        space=load_space("quick"),
        corpus=None,  # type: ignore[arg-type]  # not looked at
        prepared=prepare_corpus(TEXT, ["cased"]),
        run_path=None,  # type: ignore[arg-type]
        settings=StudySettings(),
        command="",
    )
    chars, read = (
        learning_seconds_of(
            study, TrialRecord(number=0, config=dataclasses.replace(config, unit=unit))
        )
        for unit in ("char", "byte")
    )
    test = split_text(TEXT).test
    difference = dynamic_seconds(0, num_symbols=len(test.encode()))
    assert read - chars == pytest.approx(difference - dynamic_seconds(0, num_symbols=len(test)))
    assert read > chars


@pytest.mark.slow
def test_search_in_bytes_is_resumed_confirmed_and_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = [*write_inputs(TEXT, trials=3, base="learning_rate=0.03"), *IN_BYTES, "--name", "one"]
    done = run_command([*flags, "--finalists", "0"])
    assert done.returncode == 0, done.stderr
    confirmed = ["--finalists", "1", "--finalist-seeds", "1"]
    resumed = run_command(["--resume", "one", "--trials", "4", *confirmed])
    assert resumed.returncode == 0, resumed.stderr
    trials = pd.read_csv("results/one/trials.csv")
    assert len(trials) == 4 and set(trials["unit"]) == {"byte"}
    assert (
        set(trials["vocabulary_size"]) == {NUM_BYTES} and trials["val_bits_per_char"].notna().all()
    )
    report = Path("results/one/report.md").read_text(encoding="utf-8")
    assert "## Is the winner confirmed?" in report and "per letter" not in report
    assert "byte by byte" in Path("results/one/report.html").read_text(encoding="utf-8")
    for folder in ("checkpoints/01", "predictor"):
        assert generate.main([f"results/one/{folder}", "--chars", "40"]) == 0
        assert len(capsys.readouterr().out) >= 40
        place = f"results/one/{folder}"
        assert score.main([place, "--text", "book.txt", "--part", "test"]) == 0
        assert "bits per byte" in capsys.readouterr().out
