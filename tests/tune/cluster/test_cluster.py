"""Where a trial's machine is measured, in the driver or in a worker, and what is said if not."""

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import ray
from ray.exceptions import GetTimeoutError, RayError, WorkerCrashedError

from model.errors import ConfigError
from model.training.speed import Machine, MachineSpeed
from tune.cluster.cluster import Cluster
from tune.cluster.resources import Node, TrialResources
from tune.cluster.trial_memory import GIBIBYTE

START_LOCAL_SOON = Cluster.start_local_soon
"""Before conftest.py replaces it for each test."""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            GetTimeoutError("300 s"),
            "no worker has measured it within 300 s: the cluster is full, or slow to import",
        ),
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
        TrialResources(), precision="auto", kernel="auto", largest_hidden_size=8
    )
    assert isinstance(measured, str) and measured.startswith(reason)


@pytest.mark.parametrize("gpus", [0.0, 0.5])
def test_what_trains_on_a_gpu_is_measured_outside_the_driver(
    gpus: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver that measured on a GPU would hold some of its memory all through the search."""
    workers: list[dict[str, float]] = []

    def remote(**asked: float) -> Callable[[Callable[..., Any]], Any]:
        workers.append(asked)

        class Task:
            @staticmethod
            def remote(**arguments: object) -> str:
                assert arguments["use_gpu"] is True
                return "a reference"

        return lambda function: Task

    monkeypatch.setattr(
        "tune.cluster.cluster.local_nodes",
        lambda: [Node(num_cpus=2, num_gpus=1, memory_bytes=2**33)],
    )
    speed = MachineSpeed(seconds=(1e-3, 1e-6, 1e-11, 1e-8, 1e-8))
    here = Machine(speed=speed, process_bytes=1_000, free_gpu_bytes=None)
    monkeypatch.setattr("model.training.speed.measure_machine", lambda **_: here)
    monkeypatch.setattr(Cluster, "start", lambda self: None)
    monkeypatch.setattr(ray, "remote", remote)
    monkeypatch.setattr(ray, "get", lambda reference, timeout: "in a worker")
    measured = Cluster(None).measure(
        TrialResources(gpus=gpus),
        precision="auto",
        kernel="auto",
        largest_hidden_size=64,
        held_bytes=900,
    )
    if gpus:
        assert measured == "in a worker"
        assert workers == [{"num_cpus": 1, "num_gpus": 0.5}]
    else:
        # The driver holds the text, which trials read in Ray's store.
        assert isinstance(measured, Machine) and measured.process_bytes == 100 and not workers
        # The next search takes what this one has kept.
        monkeypatch.setattr("model.training.speed.measure_machine", lambda **_: pytest.fail())
        kept = Cluster(None).measure(
            TrialResources(), precision="auto", kernel="auto", largest_hidden_size=64
        )
        assert kept == measured


@pytest.mark.parametrize(
    ("cores", "gibibytes", "trial_cpus", "expected"),
    [(64, 8.5, 1, 8), (64, 8.5, 4, 32), (64, 0.5, 2, 2), (2, 64, 1, 2), (64, 64, 1, 64)],
)
def test_local_ray_starts_no_more_processes_than_trials_fit_into_memory(
    cores: int,
    gibibytes: float,
    trial_cpus: int,
    expected: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One for each of 64 cores, torch in each, took 15 GB before the plan was printed."""
    node = Node(num_cpus=cores, num_gpus=0, memory_bytes=gibibytes * GIBIBYTE)
    asked: list[int] = []

    def init(**options: Any) -> None:
        asked.append(options["num_cpus"])
        raise RuntimeError("far enough")

    monkeypatch.setattr("tune.cluster.cluster.local_nodes", lambda: [node])
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setenv("RAY_num_workers_soft_limit", "1")
    with Cluster(None) as cluster:
        cluster.check_local_trial(trial_cpus, 0)
        with pytest.raises(ConfigError, match="far enough"):
            cluster.start()
        assert asked == [expected] and cluster.nodes() == [node]


@pytest.mark.slow
def test_a_local_ray_measures_in_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    # A GPU of Ray's books alone: the worker finds none and measures on its CPU.
    monkeypatch.setattr(
        "tune.cluster.cluster.local_nodes",
        lambda: [Node(num_cpus=1, num_gpus=1, memory_bytes=2**33)],
    )
    monkeypatch.setattr("tune.cluster.cluster.MEASURE_SECONDS", 3_600)
    with Cluster(None) as cluster:
        START_LOCAL_SOON(cluster)
        held = bytearray(1 << 28)  # a text, which is read meanwhile
        held[:: 1 << 12] = b"x" * (1 << 16)
        cluster.take_memory()
        (node,) = cluster.nodes()
        machine = cluster.measure(
            TrialResources(gpus=1.0), precision="float32", kernel="auto", largest_hidden_size=64
        )
        while ray.available_resources()["memory"] > node.memory_bytes:
            time.sleep(0.1)
        children = psutil.Process().children(recursive=True)
        scripts = {Path(word).name for each in children for word in each.cmdline()}
    assert 2**33 - node.memory_bytes >= len(held)
    assert "raylet" in scripts
    # Nobody asks them, and each takes a second of a core to start.
    assert not scripts & {"monitor.py", "log_monitor.py", "dashboard.py"}
    assert not isinstance(machine, str) and machine.process_bytes > 0
    assert machine.free_gpu_bytes is None
