"""Waits until a Ray cluster has its nodes: `python -m tune.wait_for_nodes 4 --address auto`.

A search uses the nodes that there are, and those that come later; but what is checked and
estimated before it starts is so for the nodes that are there then.
"""

import argparse
import logging
import time

from model.system.command_line import OneLineParser, ended_quietly
from model.system.ending import end

POLL_SECONDS = 1.0
_EXIT_CODES = """exit codes:
  0   the nodes are there
  2   a mistake in the command
  3   the time is up: some nodes are there, and a search can begin with them
  75  the time is up: no node is there
"""
SOME_NODES = 3
"""The exit code when some nodes are missing: a search can begin with those that are there. 1 is
that of a Python that failed."""


def main(arguments: list[str] | None = None) -> int:
    """Wait, and return the exit code."""
    parser = OneLineParser(
        prog="python -m tune.wait_for_nodes",
        description="Wait until a Ray cluster has N nodes with CPU cores.",
        epilog=_EXIT_CODES,
    )
    parser.add_argument("count", type=int, metavar="N", help="nodes to wait for")
    parser.add_argument("--address", default="auto", metavar="ADDR", help="the cluster (auto)")
    parser.add_argument("--timeout", default="10m", metavar="TIME", help="how long at most (10m)")
    options = parser.parse_args(arguments)
    return ended_quietly("tune.wait_for_nodes", lambda: _wait(options))


def _wait(options: argparse.Namespace) -> int:
    from model.errors import EXTERNAL_FAULT, ConfigError
    from model.system.durations import parse_duration
    from tune.cluster.ray_environment import prepare_ray_environment

    if options.count < 1:
        raise ConfigError(f"the number of nodes must be at least 1, got {options.count}")
    prepare_ray_environment(options.address)
    deadline = time.monotonic() + parse_duration(options.timeout)
    found = 0
    while found < options.count and time.monotonic() < deadline:
        found = _num_nodes(options.address)
        if found < options.count:
            time.sleep(POLL_SECONDS)
    print(f"{found} of {options.count} nodes are there")
    if found >= options.count:
        return 0
    return SOME_NODES if found else EXTERNAL_FAULT


def _num_nodes(address: str) -> int:
    """Return how many nodes a cluster has; 0 while it does not answer."""
    import ray

    if not ray.is_initialized():
        logging.getLogger("ray").setLevel(logging.CRITICAL)
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
        except (ConnectionError, ValueError, RuntimeError):
            return 0
    return sum(node["Alive"] and node["Resources"].get("CPU", 0) > 0 for node in ray.nodes())


if __name__ == "__main__":
    end(main())
