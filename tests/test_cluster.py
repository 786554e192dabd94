"""What is said where a cluster cannot measure how fast a trial trains."""

from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.exceptions import GetTimeoutError, RayError, WorkerCrashedError

from tune.cluster import Cluster
from tune.resources import TrialResources


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (GetTimeoutError("60 s"), "the cluster had no room to measure it within 60 s"),
        (WorkerCrashedError(), "a worker failed to measure it: The worker died unexpectedly"),
    ],
)
def test_why_nothing_was_measured_is_said(
    error: RayError, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = SimpleNamespace(remote=lambda **asked: "reference")

    def get(reference: Any, timeout: float) -> None:
        raise error

    monkeypatch.setattr(ray, "remote", lambda **resources: lambda function: task)
    monkeypatch.setattr(ray, "get", get)
    monkeypatch.setattr(ray, "cancel", lambda reference, force: None)
    monkeypatch.setattr(Cluster, "start", lambda cluster: None)
    measured = Cluster("127.0.0.1:6379").measure(
        TrialResources(), precision="auto", largest_hidden_size=8
    )
    assert isinstance(measured, str) and measured.startswith(reason)
