"""Trials that go wrong on a real Ray: each is one row with its reason, and the search goes on."""

import resource
import signal
import subprocess
import time

import pandas as pd
import pytest
from tiny_search import run_command, trial_worker, trials_of, write_inputs


def wait_for_failed(driver: subprocess.Popen[str], count: int) -> None:
    """Wait until so many trials of the run `long` have failed."""
    deadline = time.monotonic() + 60
    while (trials_of("long")["status"] == "FAILED").sum() < count:
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.5)


@pytest.mark.slow
def test_failures_of_each_kind_are_rows_and_the_search_goes_on(
    running: subprocess.Popen[str],
) -> None:
    # The system refuses to write a checkpoint; then a process is killed. Both for real.
    without_files = trial_worker(running)
    without_files.rlimit(resource.RLIMIT_FSIZE, (0, 0))
    wait_for_failed(running, 1)
    # Ray may keep the spoilt process for a while.
    trial_worker(running, other_than=[without_files.pid]).send_signal(signal.SIGKILL)
    wait_for_failed(running, 2)
    trained = len(pd.read_csv("results/long/epochs.csv"))
    deadline = time.monotonic() + 60
    while len(pd.read_csv("results/long/epochs.csv")) <= trained:  # another takes its place
        assert time.monotonic() < deadline
        time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    output, errors = running.communicate(timeout=60)
    assert running.returncode == 130, errors
    trials = trials_of("long")
    failed = trials[trials["status"] == "FAILED"]
    assert len(failed) == 2
    assert failed["error"].str.len().min() > 0
    assert not failed["error"].str.contains("\n").any()
    assert trials["number"].is_unique
    assert output.count("FAILED") >= 2


@pytest.mark.slow
def test_diverged_trials_are_rows_among_others(tiny_text: str) -> None:
    flags = write_inputs(
        tiny_text,
        trials=10,
        axes='"learning_rate": CategoricalDistribution((3e-3, 1e38)),',
        base="gradient_clip_norm=1e38",
    )
    done = run_command([*flags, "--name", "mixed", "--finalists", "0"])
    assert done.returncode == 0, done.stderr
    trials = trials_of("mixed")
    hot = trials["learning_rate"] > 1
    assert len(trials) == 10
    assert hot.any() and not hot.all()
    assert (trials.loc[hot, "status"] == "DIVERGED").all()
    assert trials.loc[hot, "error"].str.contains("diverged in epoch").all()
    assert trials.loc[~hot, "status"].isin(["COMPLETE", "PRUNED"]).all()
