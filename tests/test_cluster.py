"""Where a trial's machine is measured: in the driver, or in a worker."""

from collections.abc import Callable
from typing import Any

import pytest
import ray

from tune.cluster import Cluster
from tune.resources import Node, TrialResources


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
        "tune.cluster.local_nodes", lambda: [Node(num_cpus=2, num_gpus=1, memory_bytes=2**33)]
    )
    monkeypatch.setattr("model.machine.measure_machine", lambda **_: "in the driver")
    monkeypatch.setattr(Cluster, "start", lambda self: None)
    monkeypatch.setattr(ray, "remote", remote)
    monkeypatch.setattr(ray, "get", lambda reference, timeout: "in a worker")
    measured = Cluster(None).measure(
        TrialResources(gpus=gpus), precision="auto", largest_hidden_size=64
    )
    if gpus:
        assert measured == "in a worker"
        assert workers == [{"num_cpus": 1, "num_gpus": 0.5}]
    else:
        assert measured == "in the driver" and not workers


@pytest.mark.slow
def test_a_local_ray_measures_in_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    # A GPU of Ray's books alone: the worker finds none and measures on its CPU.
    monkeypatch.setattr(
        "tune.cluster.local_nodes", lambda: [Node(num_cpus=1, num_gpus=1, memory_bytes=2**33)]
    )
    with Cluster(None) as cluster:
        machine = cluster.measure(
            TrialResources(gpus=1.0), precision="float32", largest_hidden_size=64
        )
    assert machine is not None and machine.process_bytes > 0
    assert machine.free_gpu_bytes is None
