import os

import pytest

from model.errors import ConfigError
from tune.cluster.resources import (
    Node,
    TrialResources,
    cluster_nodes,
    describe,
    local_nodes,
    num_concurrent,
    trial_resources,
    why_busy,
)


@pytest.mark.parametrize(
    ("nodes", "need", "limit", "expected"),
    [
        ([(2, 0)], (1, 0.0), None, 2),
        ([(2, 0), (3, 0)], (2, 0.0), None, 2),  # a trial does not span nodes
        ([(8, 1)], (1, 0.25), None, 4),
        ([(8, 2)], (1, 0.4), None, 4),  # a fraction is of one GPU: two in each
        ([(2, 4)], (1, 0.5), None, 2),
        ([(8, 0)], (1, 0.0), 3, 3),
        ([(8, 10)], (1, 0.1), None, 8),
    ],
)
def test_how_many_run_at_once(
    nodes: list[tuple[float, float]], need: tuple[int, float], limit: int | None, expected: int
) -> None:
    shapes = [Node(num_cpus=cpus, num_gpus=gpus) for cpus, gpus in nodes]
    resources = TrialResources(cpus=need[0], gpus=need[1])
    assert num_concurrent(shapes, resources, limit) == expected


def test_what_no_node_can_give_is_refused() -> None:
    nodes = [Node(num_cpus=2, num_gpus=0)] * 3
    for need in (TrialResources(cpus=3), TrialResources(gpus=0.5)):
        with pytest.raises(ConfigError, match=r"one node must have .*there is 3 nodes: 2 CPU"):
            num_concurrent(nodes, need, None)


@pytest.mark.parametrize(
    ("cpus", "gpus", "rule"),
    [
        (0, 0.0, "cpus_per_trial must be at least 1"),
        (1, -0.5, "gpus_per_trial must be in 0 to 1"),
        (1, 2.0, "gpus_per_trial must be in 0 to 1"),
    ],
)
def test_impossible_needs_are_refused(cpus: int, gpus: float, rule: str) -> None:
    with pytest.raises(ConfigError, match=rule):
        TrialResources(cpus=cpus, gpus=gpus)


def test_nodes() -> None:
    ray_nodes = [
        {"Alive": True, "Resources": {"CPU": 4.0, "GPU": 2.0, "memory": 2.5e9}},
        {"Alive": True, "Resources": {"memory": 1.0}},
        {"Alive": False, "Resources": {"CPU": 64.0}},
    ]
    nodes = cluster_nodes(ray_nodes)
    assert nodes == [
        Node(num_cpus=4, num_gpus=2, memory_bytes=2.5e9),
        Node(num_cpus=0, num_gpus=0, memory_bytes=1.0),
    ]
    assert trial_resources(nodes, cpus=1, gpus=None).gpus == 1.0
    without = [Node(num_cpus=4, num_gpus=0)]
    assert trial_resources(without, cpus=1, gpus=None).gpus == 0.0
    assert local_nodes()[0].num_cpus >= 1
    assert 1e6 < local_nodes()[0].memory_bytes < 1e15
    assert describe(nodes) == "1 node: 4 CPU, 2 GPU, 2.3 GiB; 1 node: 0 CPU, 0 GPU, 0 GiB"
    assert describe([Node(num_cpus=4, num_gpus=2)]) == "1 node: 4 CPU, 2 GPU"


@pytest.mark.parametrize(
    ("load", "num_usable", "is_told"),
    [
        (4.0, 8, False),
        (4.1, 8, True),
        (14.5, 8, True),
        (4.1, 2, False),  # the six other cores may have it all
        (7.1, 2, True),
    ],
)
def test_machine_is_busy_if_others_leave_less_than_half_of_the_usable_cores(
    load: float, num_usable: int, is_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    told = why_busy(Node(num_cpus=num_usable, num_gpus=0))
    assert told.startswith(
        f"this machine was busy in the last minute (load {load}, 8 cores);"
    ) == (is_told)
    assert bool(told) == is_told


def test_machine_that_does_not_tell_its_load_is_not_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> tuple[float, float, float]:
        raise OSError

    monkeypatch.setattr(os, "getloadavg", unknown)
    assert why_busy(Node(num_cpus=2, num_gpus=0)) == ""
