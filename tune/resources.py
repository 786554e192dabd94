"""What the machine or the cluster has, what a trial needs, and how many run at once."""

import dataclasses
import math
import os
from typing import Any

from model.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One machine: its CPU cores and its GPUs, real or logical."""

    num_cpus: float
    num_gpus: float


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrialResources:
    """What one trial takes.

    Attributes:
        cpus: CPU cores and torch threads, at least 1.
        gpus: GPUs, 0 to 1; a fraction shares one GPU between trials.

    Raises:
        ConfigError: A value is out of its range.
    """

    cpus: int = 1
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.cpus < 1:
            raise ConfigError(f"cpus_per_trial must be at least 1, got {self.cpus}")
        if not 0 <= self.gpus <= 1:
            raise ConfigError(
                f"gpus_per_trial must be in 0 to 1 (a trial trains on one GPU), got {self.gpus:g}"
            )


def local_nodes() -> list[Node]:
    """Return this machine: the cores this process may use, and its visible CUDA GPUs."""
    from model.devices import num_gpus

    affinity = getattr(os, "sched_getaffinity", None)
    num_cpus = len(affinity(0)) if affinity else os.cpu_count() or 1
    return [Node(num_cpus=num_cpus, num_gpus=num_gpus())]


def cluster_nodes(ray_nodes: list[dict[str, Any]]) -> list[Node]:
    """Return the living nodes of what `ray.nodes()` gives."""
    return [
        Node(
            num_cpus=node["Resources"].get("CPU", 0.0),
            num_gpus=node["Resources"].get("GPU", 0.0),
        )
        for node in ray_nodes
        if node["Alive"]
    ]


def default_gpus(nodes: list[Node]) -> float:
    """Return the GPUs of a trial where the user names none: one if there are any."""
    return 1.0 if any(node.num_gpus for node in nodes) else 0.0


def num_concurrent(nodes: list[Node], need: TrialResources, max_concurrent: int | None) -> int:
    """Return how many trials run at once.

    >>> num_concurrent([Node(num_cpus=8, num_gpus=1)], TrialResources(gpus=0.25), None)
    4

    Raises:
        ConfigError: No node can ever run one trial, or max_concurrent is below 1.
    """
    if max_concurrent is not None and max_concurrent < 1:
        raise ConfigError(f"max_concurrent must be at least 1, got {max_concurrent}")
    fitting = sum(_num_fitting(node, need) for node in nodes)
    if fitting == 0:
        raise ConfigError(
            f"one node must have what a trial needs, {need.cpus} CPU and {need.gpus:g} GPU; "
            f"there is {describe(nodes)}"
        )
    return fitting if max_concurrent is None else min(fitting, max_concurrent)


def describe(nodes: list[Node]) -> str:
    """Return the resources in words.

    >>> describe([Node(num_cpus=2, num_gpus=0)])
    '1 node: 2 CPU, 0 GPU'
    """
    shapes = [f"{node.num_cpus:g} CPU, {node.num_gpus:g} GPU" for node in nodes]
    counts = {shape: shapes.count(shape) for shape in shapes}
    return "; ".join(f"{n} node{'s' * (n > 1)}: {shape}" for shape, n in counts.items())


def _num_fitting(node: Node, need: TrialResources) -> int:
    by_cpus = int(node.num_cpus // need.cpus)
    if need.gpus == 0:
        return by_cpus
    # A fraction is taken from one GPU: three trials of 0.4 GPU need two of them.
    per_gpu = math.floor(1 / need.gpus + 1e-9)
    return min(by_cpus, int(node.num_gpus) * per_gpu)
