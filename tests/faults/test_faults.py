"""Faults around a search, on a real Ray with real processes: no training is lost.

docs/faults.md has a row for each.
"""

import contextlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pandas as pd
import psutil
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from faulty_search import (
    DIES,
    DIES_ONCE,
    DIES_SAVING,
    GROWS,
    HANGS,
    IDLES,
    RAISES,
    STOPS,
    TRIALS,
)
from model.training.checkpoint import load_checkpoint
from ray_nodes import ray_nodes
from repository import SUPPORT
from tiny_search import (
    assert_interrupted,
    command,
    kill_family,
    num_epochs,
    run_command,
    trial_worker,
    trial_workers,
    trials_of,
    wait_until,
    write_inputs,
)
from tune.storage.checkpoints import CheckpointStore

EXTERNAL_FAULT = 75
FAULTY = SUPPORT / "faulty_search.py"


def epochs_of(name: str) -> pd.DataFrame:
    return pd.read_csv(Path("results") / name / "epochs.csv")


def assert_each_epoch_once(name: str) -> None:
    for number, rows in epochs_of(name).groupby("number"):
        assert rows["epoch"].to_list() == list(range(1, len(rows) + 1)), number


def assert_optuna_was_told(name: str) -> None:
    """Compare Optuna's study with the table: each trial's state, value and reason of failure."""
    storage = JournalStorage(JournalFileBackend(f"results/{name}/optuna.journal"))
    proposed = optuna.load_study(storage=storage, study_name="tiny").trials
    known = [trial for trial in proposed if "repeat" not in trial.user_attrs]
    # A promoted trial was told at its rung, and again, as a new one, when it ended.
    told = list({trial.user_attrs["number"]: trial for trial in known}.values())
    rows = trials_of(name).set_index("number")
    assert sorted(trial.user_attrs["number"] for trial in told) == list(rows.index)
    states = {"FAILED": TrialState.FAIL, "DIVERGED": TrialState.FAIL}
    for trial in told:
        row = rows.loc[trial.user_attrs["number"]]
        state = states.get(row["status"]) or TrialState[row["status"]]
        assert trial.state == state, row
        if state == TrialState.FAIL:
            assert trial.user_attrs["error"] == row["error"]
        else:
            assert "error" not in trial.user_attrs and "stopped" not in trial.user_attrs
        if state == TrialState.COMPLETE:
            assert trial.value == row["val_bits_per_char"]


def no_pruning(epochs: int) -> None:
    """Change the space in the working folder so that no trial of that many epochs stops early."""
    space = Path("tiny.py")
    text = space.read_text(encoding="utf-8")
    space.write_text(text.replace("grace_period_epochs=1", f"grace_period_epochs={epochs}"))


@pytest.mark.slow
def test_trials_that_misbehave_are_rows_and_the_search_goes_on(
    tiny_text: str, tmp_path: Path
) -> None:
    flags = write_inputs(tiny_text, epochs=(4, 4), trials=TRIALS, patience=1)
    no_pruning(4)
    flags += ["--name", "faulty", "--finalists", "0", "--trial-timeout", "2s"]
    (tmp_path / "stuck").mkdir()
    done = subprocess.run(
        [sys.executable, str(FAULTY), *flags],
        env={
            **os.environ,
            "FIRST_TIME": str(tmp_path / "first"),
            "STUCK": str(tmp_path / "stuck"),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "trial timeout: a trial that reports nothing for 2s is killed" in done.stdout
    trials = trials_of("faulty").set_index("number")
    errors = trials["error"].fillna("")
    assert list(trials.index) == list(range(TRIALS))
    failed = {RAISES, HANGS, STOPS, DIES, GROWS, DIES_SAVING}
    assert set(trials.index[trials["status"] == "FAILED"]) == failed
    assert set(trials["status"]) == {"FAILED", "COMPLETE"}
    assert errors[RAISES] == "ValueError: a defect of two lines"
    for number in (HANGS, STOPS):
        assert errors[number] == "no report for 2s (--trial-timeout)"
    for number in (DIES, DIES_SAVING):
        assert errors[number].startswith("lost 4 workers; the last error: ")
    assert errors[GROWS] == "MemoryError"
    assert not errors.str.contains("\n").any()
    assert (trials.loc[trials["status"] == "FAILED", "epochs_run"] == 1).all()
    assert f"trial {DIES_ONCE} continues from its last checkpoint: " in done.stdout
    assert_each_epoch_once("faulty")
    assert_optuna_was_told("faulty")
    patient = trials.loc[IDLES]
    assert patient["status"] == "COMPLETE" and patient["epochs"] == 4
    assert (patient["epochs_run"], patient["best_epoch"]) == (2, 1)
    (newest, *_) = CheckpointStore(str(Path("results/faulty/ray").resolve())).newest_first()[IDLES]
    _, meta = load_checkpoint(Path(newest))
    assert (meta.metrics.epoch, meta.last_metrics.epoch) == (1, 2)
    assert meta.metrics.val_bits_per_char == patient["val_bits_per_char"]


@pytest.mark.slow
@pytest.mark.timeout(2_000)
def test_killed_workers_trial_goes_on_from_its_checkpoint(
    running: subprocess.Popen[str],
) -> None:
    before = num_epochs("long")
    killed = trial_worker(running)
    killed.send_signal(signal.SIGKILL)
    # Another kind of loss: the system refuses to write the other worker's checkpoints.
    spoilt = trial_worker(running, other_than=[killed.pid])
    spoilt.rlimit(resource.RLIMIT_FSIZE, (0, 0))

    wait_until(lambda: bool((num_epochs("long") > before + 30).all()), running)
    running.send_signal(signal.SIGTERM)
    output = assert_interrupted(running, signal.SIGTERM)
    assert output.count("continues from its last checkpoint") >= 2
    assert_each_epoch_once("long")


@pytest.mark.slow
def test_diverged_trials_are_rows_among_others(tiny_text: str) -> None:
    flags = write_inputs(
        tiny_text,
        trials=6,
        axes='"learning_rate": CategoricalDistribution((3e-3, 1e38)),',
        base="gradient_clip_norm=1e38",
    )
    done = run_command([*flags, "--name", "mixed", "--finalists", "0"])
    assert done.returncode == 0, done.stderr
    trials = trials_of("mixed")
    hot = trials["learning_rate"] > 1
    assert len(trials) == 6
    assert hot.any() and not hot.all()
    assert (trials.loc[hot, "status"] == "DIVERGED").all()
    assert trials.loc[hot, "error"].str.contains("diverged in epoch").all()
    assert trials.loc[~hot, "status"].isin(["COMPLETE", "PRUNED"]).all()
    assert_optuna_was_told("mixed")


@pytest.mark.long
@pytest.mark.timeout(2_000)
@pytest.mark.parametrize("process", ["gcs_server", "raylet"])
def test_lost_ray_is_one_line_and_can_be_resumed(
    process: str, running: subprocess.Popen[str]
) -> None:
    children = psutil.Process(running.pid).children(recursive=True)
    (lost,) = [child for child in children if child.name() == process]
    lost.kill()
    _, errors = running.communicate()
    # Ray itself would end the process later, without this exit code and this line.
    assert running.returncode == EXTERNAL_FAULT, errors
    (line,) = errors.splitlines()
    assert line.startswith("tune.run: lost Ray's ")
    assert line.endswith(" -m tune.run --resume results/long")
    if process == "raylet":
        before = num_epochs("long")
        resumed = subprocess.Popen(
            command(["--resume", "long"]),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            wait_until(lambda: bool((num_epochs("long") > before).all()), resumed)
            resumed.send_signal(signal.SIGINT)
            _, errors = resumed.communicate()
        finally:
            kill_family(resumed)
        assert resumed.returncode == 130, errors
        assert_each_epoch_once("long")


@pytest.mark.long
@pytest.mark.timeout(2_500)
def test_search_whose_cluster_lost_its_head_goes_on_in_another(
    tiny_text: str, tmp_path: Path
) -> None:
    flags = write_inputs(tiny_text, epochs=(100, 100), trials=2)
    no_pruning(100)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    with ray_nodes(tmp_path / "first") as nodes:
        head = nodes.add("head", "--num-cpus=1")
        nodes.add("other", "--num-cpus=1")
        driver = subprocess.Popen(
            command([*flags, "--address", nodes.address, "--name", "two", "--finalists", "0"]),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            wait_until(lambda: Path("results/two/epochs.csv").exists(), driver)
            wait_until(lambda: len(num_epochs("two")) == 2, driver)
            nodes.remove(head)
            _, errors = driver.communicate()
        finally:
            kill_family(driver)
    assert driver.returncode == EXTERNAL_FAULT, errors
    assert re.search(r"^tune\.run: lost Ray's .* -m tune\.run --resume results/two$", errors, re.M)
    before = num_epochs("two")
    with ray_nodes(tmp_path / "second") as nodes:
        nodes.add("head", "--num-cpus=2")
        done = run_command(["--resume", "two", "--address", nodes.address])
    assert done.returncode == 0, done.stderr
    assert (trials_of("two")["status"] == "COMPLETE").all()
    # The other node's trial may finish before the loss is noticed.
    assert (num_epochs("two") == 100).all() and (before < 100).any()
    assert_each_epoch_once("two")


@pytest.mark.long
@pytest.mark.timeout(2_500)
def test_lost_nodes_trial_goes_on_on_another_node(tiny_text: str, tmp_path: Path) -> None:
    flags = write_inputs(tiny_text, epochs=(100, 100), trials=3)
    no_pruning(100)
    with ray_nodes(tmp_path) as nodes:
        head = nodes.add("head", "--num-cpus=1")
        other = nodes.add("other", "--num-cpus=1")
        driver = subprocess.Popen(
            command([*flags, "--address", nodes.address, "--name", "two", "--finalists", "0"]),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            wait_until(lambda: Path("results/two/epochs.csv").exists(), driver)
            trial_worker(other)
            trial_worker(head)
            wait_until(lambda: num_epochs("two").min() > 5 and len(num_epochs("two")) == 2, driver)
            nodes.remove(other)
            output, errors = driver.communicate()
        finally:
            kill_family(driver)
    assert driver.returncode == 0, errors
    assert "continues from its last checkpoint" in output
    assert (trials_of("two")["status"] == "COMPLETE").all()
    assert_each_epoch_once("two")
    assert (num_epochs("two") == 100).all()


@pytest.fixture
def _ray_waits_for_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNE_FORCE_TRIAL_CLEANUP_S", "3600")


@pytest.mark.long
@pytest.mark.usefixtures("_ray_waits_for_trials")
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_second_signal_ends_at_once(
    second: signal.Signals, running: subprocess.Popen[str]
) -> None:
    # The stopped workers would delay a graceful end by an hour.
    held = trial_workers(running)
    for worker in held:
        worker.suspend()
    try:
        running.send_signal(signal.SIGTERM)
        wait_until_it_ran_on(running)
        running.send_signal(second)
        output, errors = running.communicate()
    finally:
        for worker in held:
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
    assert running.returncode == 143
    at_once = re.fullmatch(r"to continue: .* -m tune\.run --resume results/long\n", errors)
    assert at_once, (output, errors)
    assert not json.loads(Path("results/long/study.json").read_text())["finished"]


def wait_until_it_ran_on(process: subprocess.Popen[str]) -> None:
    """Wait until a process's main thread has woken a few times, and so has seen its signal."""
    main_thread = psutil.Process(process.pid)
    before = main_thread.num_ctx_switches().voluntary
    wait_until(lambda: main_thread.num_ctx_switches().voluntary > before + 20, process)
