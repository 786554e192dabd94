"""What the machine or cluster has, what a trial needs, and how many trials run at once."""

import dataclasses
import math
import os
import time
from collections.abc import Callable
from typing import Any

from model.config import TrialConfig
from model.errors import ConfigError
from model.system.durations import counted
from model.system.limits import free_bytes, has_gpu_driver, num_cpus
from search_spaces import SearchSpace
from tune.cluster.trial_memory import TrialMemory, check_fits, format_bytes

POLL_SECONDS = 2.0
"""Poll interval of the node list, seconds."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One machine: its CPU cores and GPUs, real or logical, and the memory for trials."""

    num_cpus: float
    num_gpus: float
    memory_bytes: float = math.inf


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrialResources:
    """What one trial takes.

    Attributes:
        cpus: CPU cores and torch threads, at least 1.
        gpus: GPUs, 0 to 1; a fraction shares one GPU between trials.
        memory: What memory each configuration requests; None for none.

    Raises:
        ConfigError: A value is out of its range.
    """

    cpus: int = 1
    gpus: float = 0.0
    memory: TrialMemory | None = None

    def __post_init__(self) -> None:
        if self.cpus < 1:
            raise ConfigError(f"cpus_per_trial must be at least 1, got {self.cpus}")
        if not 0 <= self.gpus <= 1:
            raise ConfigError(
                f"gpus_per_trial must be in 0 to 1 (a trial trains on one GPU), got {self.gpus:g}"
            )

    def request(self, config: TrialConfig, memory_excess_bytes: int = 0) -> dict[str, float]:
        """Return what a configuration requests from Ray; see TrialMemory.asked_bytes."""
        request: dict[str, float] = {"cpu": self.cpus, "gpu": self.gpus}
        if self.memory is not None:
            request["memory"] = self.memory.asked_bytes(config, memory_excess_bytes)
        return request


def local_nodes() -> list[Node]:
    """Return this machine: the cores that this process may use, and its visible GPUs."""
    gpus = 0
    if has_gpu_driver():
        from model.system.devices import num_gpus

        gpus = num_gpus()
    return [Node(num_cpus=num_cpus(), num_gpus=gpus, memory_bytes=free_bytes())]


def why_busy(node: Node) -> str:
    """Return that this machine's other programs leave too little for a plan; usually empty.

    The load is the whole machine's. Nobody tells which cores it is on, so programs count only as
    far as the cores that this process may not use cannot hold them.
    """
    try:
        load, num_cpus = os.getloadavg()[0], os.cpu_count() or 1
    except OSError:  # this platform does not tell
        return ""
    if num_cpus - load >= node.num_cpus / 2:
        return ""
    cores = counted(num_cpus, "core")
    return (
        f"this machine was busy in the last minute (load {load:.1f}, {cores}); if it stays so, "
        f"the plan's times will not hold"
    )


def cluster_nodes(ray_nodes: list[dict[str, Any]]) -> list[Node]:
    """Return the living nodes among those from `ray.nodes()`."""
    return [
        Node(
            num_cpus=node["Resources"].get("CPU", 0.0),
            num_gpus=node["Resources"].get("GPU", 0.0),
            memory_bytes=node["Resources"].get("memory", 0.0),
        )
        for node in ray_nodes
        if node["Alive"]
    ]


def trial_resources(nodes: list[Node], *, cpus: int, gpus: float | None) -> TrialResources:
    """Return what a trial takes according to the user.

    Args:
        nodes: The nodes to use.
        cpus: The user's number of CPU cores.
        gpus: The user's number of GPUs; None for the default: one if there are any.

    Raises:
        ConfigError: A number is out of its range.
    """
    if gpus is None:
        gpus = float(any(node.num_gpus for node in nodes))
    return TrialResources(cpus=cpus, gpus=gpus)


def num_concurrent(nodes: list[Node], need: TrialResources, max_concurrent: int | None) -> int:
    """Return how many trials run at once.

    >>> num_concurrent([Node(num_cpus=8, num_gpus=1)], TrialResources(gpus=0.25), None)
    4

    Raises:
        ConfigError: No node can ever run one trial.
    """
    fitting = num_fitting(nodes, need)
    if fitting == 0:
        raise ConfigError(
            f"one node must have what a trial needs, {need.cpus} CPU and {need.gpus:g} GPU; "
            f"there is {describe(nodes)}"
        )
    return fitting if max_concurrent is None else min(fitting, max_concurrent)


def num_fitting(nodes: list[Node], need: TrialResources) -> int:
    """Return how many trials fit into the nodes at once, perhaps 0."""
    return sum(_num_fitting(node, need) for node in nodes)


def describe(nodes: list[Node]) -> str:
    """Return the resources in words.

    >>> describe([Node(num_cpus=2, num_gpus=0)])
    '1 node: 2 CPU, 0 GPU'
    """
    shapes = [
        f"{node.num_cpus:g} CPU, {node.num_gpus:g} GPU"
        + (f", {format_bytes(node.memory_bytes)}" if node.memory_bytes < math.inf else "")
        for node in nodes
    ]
    counts = {shape: shapes.count(shape) for shape in shapes}
    return "; ".join(f"{counted(n, 'node')}: {shape}" for shape, n in counts.items())


def with_memory(
    space: SearchSpace, need: TrialResources, memory: TrialMemory, nodes: list[Node]
) -> TrialResources:
    """Return what a trial takes, including its memory.

    If each node can give the largest configuration's need to as many trials as it has cores for,
    all request that; otherwise each requests its own need. Nodes that cannot run trials do not
    count, such as a head without CPUs, or without GPUs if trials need them.

    Args:
        space: The search space.
        need: A trial's other resources; at least one node has them.
        memory: What the space's configurations need.
        nodes: The nodes to use.

    Raises:
        ConfigError: No node can hold the largest configuration.
    """
    able = [node for node in nodes if _num_fitting(node, need)]
    limit = max(node.memory_bytes for node in able)
    most = format_bytes(limit)
    there = f"{most} are free" if len(able) == 1 else f"the largest node has {most}"
    check_fits(space, memory, memory.needed_bytes, limit, there)
    memory = dataclasses.replace(memory, limit_bytes=limit)
    asked = memory.asked_bytes(memory.largest)
    roomy = all(_num_fitting(node, need) * asked <= node.memory_bytes for node in able)
    return dataclasses.replace(need, memory=dataclasses.replace(memory, one_size=roomy))


def _num_fitting(node: Node, need: TrialResources) -> int:
    fitting = int(node.num_cpus // need.cpus)
    if need.gpus:
        # A fraction comes from one GPU: three trials of 0.4 GPU need two GPUs.
        per_gpu = math.floor(1 / need.gpus + 1e-9)
        fitting = min(fitting, int(node.num_gpus) * per_gpu)
    if need.memory and node.memory_bytes < math.inf:
        fitting = min(
            fitting, int(node.memory_bytes // need.memory.asked_bytes(need.memory.smallest))
        )
    return fitting


class Concurrency:
    """The number of trials that run at once, at least one."""

    def __init__(
        self, nodes: Callable[[], list[Node]], need: TrialResources, max_concurrent: int | None
    ) -> None:
        """Follow a cluster.

        Args:
            nodes: Returns the present nodes.
            need: What a trial takes.
            max_concurrent: The user's limit; None for none.
        """
        self._nodes, self._need, self._max_concurrent = nodes, need, max_concurrent
        self._polled, self._fitting = float("-inf"), 1

    def limit(self, max_concurrent: int) -> None:
        """Replace the user's limit."""
        self._max_concurrent = max_concurrent

    def __call__(self) -> int:
        """Return how many trials can run at once now."""
        if time.monotonic() > self._polled + POLL_SECONDS:
            self._polled, self._fitting = time.monotonic(), num_fitting(self._nodes(), self._need)
        most = self._fitting if self._max_concurrent is None else self._max_concurrent
        return max(1, min(self._fitting, most))
