"""Each way in which Ray loses a worker is the death of a worker.

The errors are made up: no test takes a machine's memory until Ray's monitor kills.
"""

from types import SimpleNamespace

import pytest
from ray.air.execution._internal import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError

from tune.trials.lost_workers import losses_are_deaths


def test_worker_that_was_killed_for_memory_is_a_dead_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passed: list[Exception] = []
    monkeypatch.setattr(
        RayActorManager,
        "_actor_task_failed",
        lambda manager, task, exception: passed.append(exception),
    )
    with losses_are_deaths():
        for error in (OutOfMemoryError("low on memory\nmany lines"), ValueError("a defect")):
            RayActorManager._actor_task_failed(SimpleNamespace(), SimpleNamespace(), error)
    dead, defect = passed
    assert isinstance(dead, RayActorError) and "low on memory" in str(dead)
    assert "many lines" not in str(dead)
    assert isinstance(defect, ValueError)  # what a trial raises is no lost worker
