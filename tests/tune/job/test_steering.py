"""A search that is steered while it runs, through a kill and through a storage too."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import documents
import tune
from repository import ROOT
from tiny_search import command, kill_driver, kill_family, run_command, wait_until, write_inputs

pytestmark = pytest.mark.slow
NAME = Path("results/ten")
FLAGS = ["--name", "ten", "--max-concurrent", "2", "--finalists", "0"]
LONG = 100_000
"""Epochs of a trial that does not end by itself while a test looks."""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def inputs(**options: Any) -> list[str]:
    return [*write_inputs("the cat sat on the mat. " * 90, **options), *FLAGS]


def events(kind: str) -> list[dict[str, Any]]:
    path = NAME / "history.jsonl"
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    values = [json.loads(line) for line in lines if line.endswith(b"\n")]
    return [each for each in values if each["event"] == kind]


def has(kind: str, **values: Any) -> Callable[[], bool]:
    """Return what tells whether the history has such an event."""

    def found() -> bool:
        return any(values.items() <= each.items() for each in events(kind))

    return found


def has_carried_out(num: int) -> Callable[[], bool]:
    return lambda: len(events("OrderCarriedOut")) >= num


def reported(number: int) -> Callable[[], bool]:
    return lambda: any(each["epoch"]["number"] == number for each in events("EpochEnded"))


def ordered(*words: str, run: str = "ten") -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", "tune.control", run, *words]
    return subprocess.run(arguments, capture_output=True, text=True)


def test_each_order_is_carried_out_and_reported() -> None:
    """The commands are those of docs/steering.md, but for the two that make room at its end."""
    lines = documents.commands(ROOT / "docs" / "steering.md")
    look, stop, finish, add, workers, budget, end = lines
    Path("config.json").write_text(json.dumps({"epochs": LONG, "hidden_size": 17}))
    flags = inputs(epochs=(LONG, LONG), trials=20)
    driver = subprocess.Popen(
        command(flags), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        wait_until(reported(1), driver)
        for words, rule in (
            (("stop", "19"), "stop must name a trial that has begun, got 19"),
            (("stop", "x"), "whole number"),
            (("end", "1"), "end must have no value"),
            (("budget", "soon"), "a duration must look like"),
        ):
            refused = ordered(*words)
            assert (refused.returncode, refused.stdout) == (2, "")
            assert rule in refused.stderr and refused.stderr.count("\n") == 1
        (NAME / "control").mkdir(exist_ok=True)
        (NAME / "control" / "0123456789abcdef.json").write_text("{")
        documents.run([look, stop])
        wait_until(has("TrialEnded", number=1, status="STOPPED"), driver)
        wait_until(reported(2), driver)
        documents.run([finish, add, workers, budget])
        wait_until(has_carried_out(4), driver)
        run = tune.load_run(NAME)
        run.control.stop(0)
        run.control.stop(2)
        wait_until(has_carried_out(7), driver)  # both stops, and the addition with its start
        (added,) = [each for each in events("TrialStarted") if each["order_id"]]
        assert (added["number"], added["config"]["hidden_size"]) == (3, 17)
        wait_until(reported(3), driver)
        documents.run([end])
        output, _ = driver.communicate()
    finally:
        kill_family(driver)
    assert driver.returncode == 130, output
    assert not any(each["refused"] for each in events("OrderCarriedOut"))
    assert "the request control/0123456789abcdef.json is left out" in output
    assert "by hand: stop 1" in output
    starts = [each["number"] for each in events("TrialStarted")]
    assert sorted(starts) == [0, 1, 2, 3]  # with 1 worker the first end began no other
    study = json.loads((NAME / "study.json").read_text())
    assert study["space"]["budget"]["time_budget_seconds"] == 7200.0
    assert study["ended"] == "interrupted"
    report = (NAME / "report.md").read_text()
    for words in ("1 stopped after", "2 exempt from ASHA", "3 added", "1 worker from"):
        assert words in report
    assert not (NAME / "control").exists()
    assert "only a running search can be steered" in ordered("end").stderr
    status = subprocess.run(
        [sys.executable, "-m", "tune.status", "ten"], capture_output=True, text=True
    )
    assert "by hand: " in status.stdout and "trial 1 stopped after" in status.stdout


@pytest.mark.long
def test_orders_survive_a_kill_of_the_driver() -> None:
    flags = inputs(epochs=(LONG, LONG), trials=6)
    driver = subprocess.Popen(command(flags), stdout=subprocess.DEVNULL)
    try:
        wait_until(reported(1), driver)
        # Its workers stand still: no report comes between the order and the kill.
        os.kill(driver.pid, signal.SIGSTOP)
        for words in (("stop", "1"), ("workers", "1"), ("end",)):
            assert ordered(*words).returncode == 0
        kill_driver(driver, whole_family=True)
    finally:
        kill_family(driver)
    assert events("OrderGiven") == []
    resume = ["--resume", "ten"]
    driver = subprocess.Popen(command(resume), stdout=subprocess.PIPE, text=True)
    try:
        wait_until(has("TrialEnded", number=1, status="STOPPED"), driver)
        kill_driver(driver, whole_family=True)
    finally:
        kill_family(driver)
    driver = subprocess.Popen(command(resume), stdout=subprocess.PIPE, text=True)
    try:
        num = len(events("EpochEnded"))
        wait_until(lambda: len(events("EpochEnded")) > num + 20, driver)
        assert ordered("end").returncode == 0
        driver.communicate()
    finally:
        kill_family(driver)
    last = events("EpochEnded")[num:]
    assert {each["epoch"]["number"] for each in last} == {0}  # one worker, and 1 stays stopped
    given = [each["order"]["action"] for each in events("OrderGiven")]
    assert given == ["stop", "workers", "end", "end"]
    refused = [each["refused"] for each in events("OrderCarriedOut") if each["refused"]]
    assert refused == ["the session it was given to ended before carrying it out"]
    assert refused[0] in (NAME / "orders.csv").read_text()


@pytest.mark.long
def test_configuration_added_after_the_last_trial_has_begun_is_tried() -> None:
    """ASHA judges each trial once, so that all proposals are made when the first trials run."""
    flags = inputs(epochs=(LONG, LONG), trials=2, promotes=False)
    driver = subprocess.Popen(
        command(flags), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        wait_until(reported(1), driver)
        Path("next.json").write_text(json.dumps({"epochs": LONG, "hidden_size": 17}))
        assert ordered("add", "next.json").returncode == 0
        wait_until(lambda: len(events("OrderGiven")) == 1, driver)
        for number in (0, 1):
            assert ordered("stop", str(number)).returncode == 0
        wait_until(reported(2), driver)
        assert ordered("stop", "2").returncode == 0
        output, _ = driver.communicate()
    finally:
        kill_family(driver)
    assert driver.returncode == 0, output
    begun = [each["config"]["hidden_size"] for each in events("TrialStarted")]
    assert len(begun) == 3 and begun[2] == 17
    (added, *_) = events("OrderGiven")
    assert [each["order_id"] for each in events("TrialStarted")] == ["", "", added["order"]["id"]]


@pytest.mark.long
def test_request_through_the_storage() -> None:
    storage = f"file://{Path.cwd()}/shared"
    flags = [*inputs(epochs=(LONG, LONG), trials=6), "--storage", storage]
    driver = subprocess.Popen(
        command(flags), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        copied = Path("shared/ten/history.jsonl")
        wait_until(lambda: copied.exists() and b"EpochEnded" in copied.read_bytes(), driver)
        done = ordered("end", run=f"{storage}/ten")
        assert done.returncode == 0, done.stderr
        driver.communicate()
    finally:
        kill_family(driver)
    assert driver.returncode == 130
    assert has("OrderCarriedOut")()
    assert run_command(["--resume", "nowhere"]).returncode == 2
