"""The finalists on real Ray."""

import json
import signal
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from tiny_search import (
    FinishedSearch,
    best_of_cleanings,
    command,
    kill_family,
    run_command,
    trials_of,
    wait_until,
    write_inputs,
)
from tune.records.finalist_table import FINALIST_TABLE


def finalists_of(name: str) -> pd.DataFrame:
    return pd.read_csv(Path("results") / name / "finalists.csv")


@pytest.mark.slow
def test_best_and_baseline_are_trained_anew_and_tested(finished: FinishedSearch) -> None:
    assert "retrained with 2 seeds" in finished.done.stdout
    trials, finalists = trials_of("one"), finalists_of("one")
    assert list(finalists.columns) == list(FINALIST_TABLE.dtypes)
    ranked = trials.sort_values("val_bits_per_char")["number"]
    assert set(finalists["number"]) == {*ranked[:2], 0}
    assert (finalists.groupby("number").size() == 2).all()
    assert (finalists["status"] == "COMPLETE").all()
    assert finalists["test_bits_per_char"].notna().all()
    has_letters = finalists["test_bits_per_letter"].notna()
    assert set(finalists["number"][has_letters]) == best_of_cleanings(trials, finalists) != set()
    trend = finalists["test_bits_per_letter_sixteenth"].notna()
    assert (trend == has_letters & (finalists["finalist_seed"] == 0)).all()
    # Other seeds than in the search, each another.
    assert finalists["seed"].is_unique
    assert not set(finalists["seed"]) & set(trials["seed"])
    full = trials.set_index("number").loc[finalists["number"], "epochs"]
    assert (finalists["epochs_run"].to_numpy() <= full.to_numpy()).all()
    assert "## Is the winner confirmed?" in Path("results/one/report.md").read_text()


@pytest.mark.long
@pytest.mark.timeout(1_500)
def test_search_killed_among_its_finalists_goes_on_with_them(tiny_text: str) -> None:
    flags = write_inputs(tiny_text, trials=3, epochs=(20, 30))
    flags += ["--finalists", "2", "--finalist-seeds", "2"]
    path = Path("results/cut/finalists.jsonl")
    driver = subprocess.Popen(
        command([*flags, "--name", "cut"]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(
            lambda: path.exists() and "TrialEnded" in path.read_text(), driver, poll_seconds=0.01
        )
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    finally:
        kill_family(driver)
    before = trials_of("cut")
    done = run_command(["--resume", "cut"])
    assert done.returncode == 0, done.stderr
    measured_last = "milliseconds_per_char"
    assert before[measured_last].isna().all() and trials_of("cut")[measured_last].notna().all()
    pd.testing.assert_frame_equal(
        trials_of("cut").drop(columns=measured_last), before.drop(columns=measured_last)
    )
    finalists = finalists_of("cut")
    assert finalists["number"].nunique() in (2, 3)  # the baseline may be one of the two best
    assert (finalists.groupby("number").size() == 2).all()
    assert (finalists["status"] == "COMPLETE").all()
    assert finalists["test_bits_per_char"].notna().all()
    assert json.loads(Path("results/cut/study.json").read_text())["ended"] == "all trials done"
