"""Which trials are taken for stuck."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tune.records.history import History
from tune.records.trial import Outcome
from tune.trials import lost_workers
from tune.trials.lost_workers import TrialTimeout
from tune.trials.recorder import Recorder
from tune.trials.stopper import SearchStopper


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [100.0]
    monkeypatch.setattr(lost_workers, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def wait(seconds: float) -> None:
        now[0] += seconds

    return wait


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    actors: list[str] = []
    monkeypatch.setattr(lost_workers, "ray", SimpleNamespace(kill=actors.append))
    return actors


def trial_of(actor: str) -> Any:
    class Trial:
        trial_id = actor
        temporary_state = SimpleNamespace(ray_actor=actor)
        num_failures, max_failures = 0, 3

    return Trial()


def test_silent_trial_is_killed_and_one_that_reports_is_not(
    clock: Callable[[float], None], killed: list[str]
) -> None:
    reasons: list[str] = []
    timeout = TrialTimeout(10.0, will_fail=lambda trial, reason: reasons.append(reason))
    silent, lively = trial_of("silent"), trial_of("lively")
    for trial in (silent, lively):
        timeout.on_trial_start(trial=trial)
    for _ in range(120):
        clock(0.1)
        timeout.on_step_begin()
        timeout.on_trial_result(trial=lively, result={})
    assert killed == ["silent"]
    assert reasons == ["no report for 10s (--trial-timeout)"]


def test_driver_that_was_held_up_kills_nobody_whose_report_waits(
    clock: Callable[[float], None], killed: list[str]
) -> None:
    timeout = TrialTimeout(10.0, will_fail=lambda trial, reason: None)
    trial = trial_of("waiting")
    timeout.on_trial_start(trial=trial)
    clock(60.0)  # tables on a slow disk
    timeout.on_step_begin()
    timeout.on_trial_result(trial=trial, result={})
    assert killed == []


def test_trial_that_reports_after_all_is_not_failed_for_its_silence(tmp_path: Path) -> None:
    trial = trial_of("late")
    with History(tmp_path / "history.jsonl") as history:
        recorder = Recorder(
            history,
            SearchStopper(None),
            save=lambda records: None,
            listeners=[],
        )
        recorder.will_fail(trial, "no report for 10s")
        assert recorder._reasons == {"late": "no report for 10s"}
        recorder.on_trial_result(trial=trial, result={"outcome": Outcome.DIVERGED.value})
    assert recorder._reasons == {}
