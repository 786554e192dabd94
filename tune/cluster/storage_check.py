"""Checks that every node of a cluster can write and read the driver's storage."""

import contextlib
import uuid
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from model.errors import ConfigError, first_line
from model.system.filesystem import STORE_ERRORS, open_location, read, write

ANSWER_SECONDS = 300.0
"""Time in which a node must start a process and import pyarrow, perhaps from NFS."""


def check_nodes(location: str) -> None:
    """Make each node that can run trials read the driver's file, and write one for the driver.

    Args:
        location: A storage URI, or an absolute path that all nodes must see.

    Raises:
        ConfigError: A node cannot; the line names it.
    """
    file_system, path = open_location(location)
    probe = f"{path}/.node-probe-{uuid.uuid4().hex}"
    nodes = {
        node["NodeID"]: node["NodeName"] or node["NodeManagerAddress"]
        for node in ray.nodes()
        if node["Alive"] and node["Resources"].get("CPU", 0) > 0
    }
    try:
        write(file_system, probe, b"driver")
        failures = _ask(nodes, location, Path(probe).name)
        for node_id, name in nodes.items():
            if node_id not in failures and read(file_system, _answer(probe, node_id)) != b"node":
                failures[node_id] = f"what {name} writes cannot be read here"
    except OSError as error:
        raise ConfigError(f"a storage must be writable: {location}: {error}") from error
    finally:
        for left in (probe, *(_answer(probe, node_id) for node_id in nodes)):
            with contextlib.suppress(OSError):
                file_system.delete_file(left)
    if failures:
        names = ", ".join(nodes[node_id] for node_id in failures)
        reason = next(iter(failures.values()))
        raise ConfigError(
            f"every node must write and read the storage {location}, but {names} cannot: {reason}"
        )


def _ask(nodes: dict[str, str], location: str, probe_name: str) -> dict[str, str]:
    """Return, by id, why nodes cannot use the storage."""
    task = ray.remote(num_cpus=0)(_write_and_read)
    running = {
        task.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False)
        ).remote(location, probe_name, node_id): node_id
        for node_id in nodes
    }
    ended, late = ray.wait(list(running), num_returns=len(running), timeout=ANSWER_SECONDS)
    failures = {running[reference]: f"no answer in {ANSWER_SECONDS:g} s" for reference in late}
    for reference in late:
        ray.cancel(reference, force=True)
    for reference in ended:
        try:
            reason = str(ray.get(reference))
        except ray.exceptions.RayError as error:
            reason = first_line(error)
        if reason:
            failures[running[reference]] = reason
    return failures


def _write_and_read(location: str, probe_name: str, node_id: str) -> str:
    """Return why this node cannot use a storage; "" if it can."""
    try:
        file_system, path = open_location(location)
        try:
            seen = read(file_system, f"{path}/{probe_name}")
        except FileNotFoundError:
            return "it does not see what the driver wrote there"
        assert seen == b"driver"
        write(file_system, _answer(f"{path}/{probe_name}", node_id), b"node")
    except STORE_ERRORS as error:
        return first_line(error)
    return ""


def _answer(probe: str, node_id: str) -> str:
    return f"{probe}.{node_id}"
