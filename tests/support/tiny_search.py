"""A search of seconds on one page of text, for tests that start real searches."""

import contextlib
import dataclasses
import json
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from repository import SUPPORT
from tune import report

SPACE = """
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from model.config import TrialConfig
from search_spaces import Baseline, Budget, SearchSpace

SPACE = SearchSpace(
    name="tiny",
    description="for tests",
    base=TrialConfig(
        batch_size=4, sequence_length=16, embedding_dim=8, precision="float32", kernel="torch",
        patience_epochs={patience}, {base}
    ),
    distributions={{
        "epochs": IntDistribution({epochs}),
        "hidden_size": IntDistribution(4, 32, log=True),
        "cleaning": CategoricalDistribution(("cased", "lower", "letters")),
        {axes}
    }},
    baselines=(Baseline(
        name="experiment 0",
        params={{"epochs": {first}, "hidden_size": 4, "cleaning": "lower", {more}}},
    ),),
    budget=Budget(
        trials={trials}, grace_period_epochs={first_rung}, reduction_factor={reduction_factor},
        promotes={promotes},
    ),
)
"""

OF_BASELINE = {"learning_rate": 3e-3, "embedding_dim": 8}
"""The baseline's values on axes that a test adds."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FinishedSearch:
    """A search that several tests examine.

    Attributes:
        folder: Where it ran.
        flags: Its command's flags, without name and finalists.
        done: Its command's result.
    """

    folder: Path
    flags: list[str]
    done: subprocess.CompletedProcess[str]


def write_inputs(
    text: str,
    *,
    epochs: tuple[int, int] = (2, 6),
    first: int | None = None,
    trials: int = 10,
    base: str = "",
    patience: int = 0,
    axes: str = "",
    reduction_factor: int = 2,
    promotes: bool = True,
) -> list[str]:
    """Write a space and a book into the working folder and return the flags that name them.

    The baseline has `first` epochs, by default the minimum. If all trials have the same number of
    epochs, no rung stops one: such a search runs until the test ends it.
    """
    low, high = epochs
    more = ", ".join(f'"{axis}": {value}' for axis, value in OF_BASELINE.items() if axis in axes)
    code = SPACE.format(
        epochs=f"{low}, {high}",
        first=low if first is None else first,
        trials=trials,
        first_rung=high if low == high else 1,
        base=base,
        axes=axes,
        more=more,
        patience=patience,
        reduction_factor=reduction_factor,
        promotes=promotes,
    )
    Path("tiny.py").write_text(code, encoding="utf-8")
    Path("book.txt").write_text(text, encoding="utf-8")
    return ["--space", "tiny.py", "--corpus", "book.txt"]


def command(flags: list[str]) -> list[str]:
    return [sys.executable, "-m", "tune.run", *flags]


def run_command(flags: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(flags), capture_output=True, text=True)


def run_timed(flags: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a search whose time budget counts epochs, not seconds of this machine."""
    timed = [sys.executable, str(SUPPORT / "timed_search.py"), *flags]
    return subprocess.run(timed, capture_output=True, text=True)


def trials_of(name: str) -> pd.DataFrame:
    return pd.read_csv(Path("results") / name / "trials.csv")


def num_epochs(name: str) -> "pd.Series[int]":
    """Return each trial's last epoch from the history, because the tables come later."""
    path = Path("results") / name / "history.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)[:-1] if path.exists() else []
    events = map(json.loads, lines)
    epochs = [event["epoch"] for event in events if event["event"] == "EpochEnded"]
    return pd.DataFrame(epochs, columns=["number", "epoch"]).groupby("number")["epoch"].max()


def assert_interrupted(running: subprocess.Popen[str], number: int = signal.SIGINT) -> str:
    """Wait until the search "long" has ended after a signal; return what it printed."""
    output, errors = running.communicate()
    assert running.returncode == 128 + number, errors
    assert errors == ""
    trials = trials_of("long")
    assert (trials["status"] == "STOPPED").all()
    assert trials["epochs_run"].min() >= 1
    assert "interrupted" in Path("results/long/report.md").read_text(encoding="utf-8")
    assert "results/long" in output
    assert report.main(["results/long"]) == 0
    return output


def kill_family(process: subprocess.Popen[Any]) -> None:
    """Kill a process and everything it started, if it still runs."""
    if process.poll() is None:
        _kill(psutil.Process(process.pid).children(recursive=True))
        process.kill()
        process.communicate()


def kill_driver(process: subprocess.Popen[Any], *, whole_family: bool = False) -> None:
    """Kill a driver first; in the end, nothing that it started is left.

    Args:
        process: The running driver.
        whole_family: Whether Ray and the workers are killed with it, as by a power cut, or
            end on their own.
    """
    family = psutil.Process(process.pid).children(recursive=True)
    try:
        process.kill()
        if whole_family:
            _kill(family)
        process.communicate()
        # They end after their driver, except some that were just starting.
        psutil.wait_procs(family, timeout=4)
    finally:
        _kill(family)


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def trial_worker(
    driver: subprocess.Popen[str], other_than: Collection[int] = ()
) -> psutil.Process:
    """Wait for a Ray worker process that trains a trial: Ray names it between its tasks.

    Args:
        driver: The search.
        other_than: Process ids to skip.
    """
    while True:
        assert driver.poll() is None, driver.communicate()
        for worker in trial_workers(driver):
            if worker.pid not in other_than:
                return worker
        time.sleep(0.1)


def trial_workers(driver: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the Ray worker processes that are training trials."""
    workers: list[psutil.Process] = []
    for child in psutil.Process(driver.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # a zombie, or gone meanwhile
            if "CharLSTMTrainable" in " ".join(child.cmdline()):
                workers.append(child)
    return workers


def free_port() -> int:
    """Return a free port.

    It is above those of Ray's workers and below those that the system gives to clients, so it
    is almost certainly still free when a server starts there.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def wait_until(
    true: Callable[[], bool], driver: subprocess.Popen[Any], *, poll_seconds: float = 0.2
) -> None:
    """Wait until a condition holds, while a driver runs; the test's timeout ends a hang."""
    while not true():
        assert driver.poll() is None, driver.communicate()
        time.sleep(poll_seconds)


def best_of_cleanings(trials: pd.DataFrame, finalists: pd.DataFrame) -> set[int]:
    """Return the best finalist of each cleaning if there are several: their letters are scored."""
    means = finalists.groupby("number")["val_bits_per_char"].mean().sort_values()
    cleanings = trials.set_index("number").loc[means.index, "cleaning"]
    best = cleanings.drop_duplicates()
    return {int(number) for number in best.index} if len(best) > 1 else set()
