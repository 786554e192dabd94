"""A search whose driver is killed again and again ends like an undisturbed one.

The environment variable KILL_SEED draws other moments.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from model.config import TrialConfig
from model.errors import CheckpointError
from model.training.checkpoint import load_checkpoint
from repository import SUPPORT
from tiny_search import (
    command,
    kill_driver,
    kill_family,
    run_command,
    wait_until,
    write_inputs,
)
from tune.storage.checkpoints import CheckpointStore

TRIALS = 6
TIMES = ["elapsed_seconds", "search_seconds", "dynamic_seconds", "milliseconds_per_char"]
RUN = Path("results/killed")
READER = SUPPORT / "table_reader.py"


def events(name: str = "history.jsonl") -> list[dict[str, Any]]:
    """Return the events in a history's complete lines."""
    path = RUN / name
    text = path.read_bytes() if path.exists() else b""
    return [json.loads(line) for line in text[: text.rfind(b"\n") + 1].splitlines()]


def num_events(name: str = "history.jsonl") -> int:
    path = RUN / name
    return path.read_bytes().count(b"\n") if path.exists() else 0


def study() -> dict[str, Any]:
    values: dict[str, Any] = json.loads((RUN / "study.json").read_text(encoding="utf-8"))
    return values


def after_events(num: int, name: str = "history.jsonl") -> Callable[[], bool]:
    """Return a check whether that many more events have come."""
    target = num_events(name) + num
    return lambda: num_events(name) >= target


def checkpoint_reports() -> dict[int, int]:
    """Return the report of each trial's newest intact checkpoint."""
    found: dict[int, int] = {}
    for number, locations in CheckpointStore(str(RUN.resolve() / "ray")).newest_first().items():
        for location in locations:
            try:
                _, meta = load_checkpoint(Path(location))
            except CheckpointError:
                continue
            found[number] = meta.last_metrics.report
            break
    return found


def kill_when(
    moment: Callable[[], bool], flags: list[str], delay_seconds: float, *, whole_family: bool
) -> None:
    """Start a driver and kill it shortly after a moment has come.

    Args:
        moment: Returns whether it has come.
        flags: The driver's flags.
        delay_seconds: How much later.
        whole_family: Whether Ray and the workers are killed with it, as by a power cut.
    """
    driver = subprocess.Popen(
        command(flags), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        wait_until(moment, driver, poll_seconds=0.002)
        time.sleep(delay_seconds)
        kill_driver(driver, whole_family=whole_family)
    finally:
        kill_family(driver)


@contextmanager
def reading() -> Iterator[None]:
    """Let another process read the run's files all the time."""
    reader = subprocess.Popen(
        [sys.executable, str(READER), str(RUN)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield
        reader.send_signal(signal.SIGTERM)
        output, errors = reader.communicate()
        assert reader.returncode == 0, errors
        assert int(output) > 100
    finally:
        reader.kill()
        reader.communicate()


@pytest.mark.long
@pytest.mark.timeout(3_000)
@pytest.mark.parametrize("promotes", [False, True])
def test_killed_search_ends_with_the_tables_of_one_that_was_not(
    tiny_text: str, promotes: bool
) -> None:
    chance = random.Random(int(os.environ.get("KILL_SEED", "1")))
    inputs = write_inputs(
        tiny_text,
        trials=TRIALS,
        epochs=(2, 5),
        reduction_factor=3 if promotes else 2,
        promotes=promotes,
    )
    once = ["--max-concurrent", "1", "--finalists", "1", "--finalist-seeds", "1"]
    begin = [*inputs, *once, "--name", "killed"]
    resume = ["--resume", str(RUN), "--max-concurrent", "1"]

    def after_epoch() -> bool:
        """The driver has just received a report, and its checkpoint is being written."""
        return num_events() > seen and events()[-1]["event"] == "EpochEnded"

    def reporting() -> bool:
        return study()["ended"] == "all trials done"

    kills: list[tuple[int, dict[int, int]]] = []
    with reading():
        # In the first second there is nothing to resume yet.
        kill_when(lambda: True, begin, chance.uniform(0, 1), whole_family=False)
        assert not RUN.exists()
        kill_when(RUN.exists, begin, 0, whole_family=False)
        moments: list[tuple[Callable[[], bool] | None, float]] = [
            (after_events(0), chance.uniform(0, 6)),  # while Ray starts
            (None, 0),  # during a checkpoint
            (None, chance.uniform(0, 0.02)),
            (None, chance.uniform(0, 0.02)),
        ]
        for moment, delay in moments:
            seen = num_events()
            kill_when(moment or after_epoch, resume, delay, whole_family=moment is None)
            kills.append((num_events(), checkpoint_reports()))
        for _ in range(2):  # anywhere
            moment = after_events(chance.randint(2, 5))
            kill_when(moment, resume, chance.uniform(0, 0.5), whole_family=False)
            kills.append((num_events(), checkpoint_reports()))
        moment = after_events(1, "finalists.jsonl")
        kill_when(moment, resume, chance.uniform(0, 0.2), whole_family=False)
        for delay in (0, chance.uniform(0, 0.3)):  # during the report
            assert not study()["finished"]
            kill_when(reporting, resume, delay, whole_family=False)
        done = run_command(resume)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert study()["finished"]
    assert_nothing_lost_or_repeated(kills, promotes=promotes)
    assert run_command([*inputs, *once, "--name", "whole"]).returncode == 0
    for name in ("trials.csv", "epochs.csv", "finalists.csv"):
        whole, killed = (pd.read_csv(RUN.with_name(run) / name) for run in ("whole", "killed"))
        times = [column for column in TIMES if column in whole]
        pd.testing.assert_frame_equal(whole.drop(columns=times), killed.drop(columns=times))
    in_order = pd.read_csv(RUN / "trials.csv")["search_seconds"].is_monotonic_increasing
    assert in_order or promotes  # a promoted trial ends after later ones
    starts = [event["number"] for event in events() if event["event"] == "TrialStarted"]
    assert not promotes or starts != sorted(starts)  # a trial was promoted
    for name in ("best.json", "samples.md"):
        assert (RUN / name).read_bytes() == (RUN.with_name("whole") / name).read_bytes()
    # One checkpoint per trial is left of all sessions.
    metas = (RUN / "ray").glob("session-*/trial_*/checkpoint_*/checkpoint/meta.json")
    assert len(list(metas)) == TRIALS
    again = run_command(resume)
    assert again.returncode == 0
    assert "already finished, nothing to do" in again.stdout


@pytest.mark.long
@pytest.mark.timeout(2_000)
@pytest.mark.parametrize("reports_per_epoch", [1, 3])
def test_killed_search_of_two_workers_loses_and_repeats_nothing(
    tiny_text: str, reports_per_epoch: int
) -> None:
    chance = random.Random(int(os.environ.get("KILL_SEED", "1")))
    base = f"reports_per_epoch={reports_per_epoch}"
    inputs = write_inputs(tiny_text, trials=TRIALS, epochs=(3, 5), base=base, promotes=False)
    budget = ["--time-budget", "10h", "--finalists", "0"]
    begin = [*inputs, *budget, "--max-concurrent", "2", "--name", "killed"]
    resume = ["--resume", str(RUN), "--max-concurrent", "2"]
    kills: list[tuple[int, dict[int, int]]] = []
    for flags in (begin, resume, resume, resume):
        moment = after_events(chance.randint(3, 6))
        kill_when(moment, flags, chance.uniform(0, 0.5), whole_family=chance.random() < 0.5)
        kills.append((num_events(), checkpoint_reports()))
    done = run_command(resume)
    assert done.returncode == 0, done.stderr
    assert_nothing_lost_or_repeated(kills, promotes=False)
    stored = study()["space"]["budget"]
    assert (stored["trials"], stored["time_budget_seconds"]) == (TRIALS, 10 * 3_600)
    seconds = [event["search_seconds"] for event in events() if event["event"] == "TrialEnded"]
    assert seconds == sorted(seconds) and seconds[-1] < 10 * 3_600  # earlier sessions' time counts


def assert_nothing_lost_or_repeated(
    kills: list[tuple[int, dict[int, int]]], *, promotes: bool
) -> None:
    """Check a history against what was in the storage when its driver was killed.

    Args:
        kills: For each kill, the events until then, and the epoch of each trial's checkpoint.
        promotes: Whether trials are promoted.
    """
    history = events()
    epochs = [
        (index, event["epoch"]["number"], event["epoch"]["report"])
        for index, event in enumerate(history)
        if event["event"] == "EpochEnded"
    ]
    ended = {
        event["number"]: index
        for index, event in enumerate(history)
        if event["event"] == "TrialEnded"
    }
    assert sorted(ended) == list(range(TRIALS))
    ends = [event for event in history if event["event"] == "TrialEnded"]
    for number in ended:  # each once, except at rungs where it waited
        *waited, _ = [event["status"] for event in ends if event["number"] == number]
        assert set(waited) <= ({"PRUNED"} if promotes else set())
    configs = {
        event["number"]: event["config"] for event in history if event["event"] == "TrialStarted"
    }
    for num, kept in kills:
        for number, end in ended.items():
            before = [epoch for index, of, epoch in epochs if of == number and index < num]
            after = [epoch for index, of, epoch in epochs if of == number and index >= num]
            if not before or end < num:
                assert not (after and end < num)
                continue
            checkpoint = kept.get(number, 0)
            assert before[-1] - 1 <= checkpoint <= before[-1]  # at most the epoch in progress
            if after:  # a complete trial only reports its last epoch again
                config = TrialConfig.from_dict(configs[number])
                is_complete = checkpoint == config.num_reports
                assert after[0] == checkpoint + (not is_complete)
    storage = JournalStorage(JournalFileBackend(str(RUN / "optuna.journal")))
    told = optuna.load_study(storage=storage, study_name="tiny").trials
    numbers = [trial.user_attrs["number"] for trial in told]
    assert sorted(set(numbers) if promotes else numbers) == list(range(TRIALS))
    assert all(trial.state.is_finished() for trial in told)
