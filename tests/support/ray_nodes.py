"""Real Ray nodes on this machine, for the tests of clusters; each is its own process group.

`ray stop` would end every Ray on the machine, so nodes run in the foreground and are killed.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tiny_search import free_port, kill_family

RAY = [sys.executable, "-m", "ray.scripts.scripts"]


class RayNodes:
    """A cluster that nodes join and leave."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._nodes: list[subprocess.Popen[Any]] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def add(
        self,
        name: str,
        *flags: str,
        prefix: tuple[str, ...] = (),
        dashboard_port: int | None = None,
        environment: dict[str, str | None] | None = None,
    ) -> subprocess.Popen[Any]:
        """Start a node in its own working folder, the head first; wait until it has joined.

        Args:
            name: The node's name.
            flags: Further flags for `ray start`.
            prefix: A command that starts the node's command.
            dashboard_port: Port of the head's dashboard; None for no dashboard.
            environment: Changes to its environment; None removes a variable.
        """
        folder = self._folder / name
        folder.mkdir()
        if not any(flag.startswith("--num-gpus") for flag in flags):
            flags = (*flags, "--num-gpus=0")  # else Ray counts this machine's GPUs
        if self._nodes:
            role = [f"--address={self.address}"]
        else:
            # By default, each head's server for Ray clients uses port 10001.
            ports = [f"--port={self._port}", f"--ray-client-server-port={free_port()}"]
            dashboard = "--include-dashboard=false"
            if dashboard_port is not None:
                dashboard = f"--dashboard-port={dashboard_port}"
            role = ["--head", *ports, dashboard]
        values = {**os.environ, "RAY_AUTH_MODE": "token", **(environment or {})}
        with (self._folder / f"{name}.log").open("w") as log:
            node = subprocess.Popen(
                [*prefix, *RAY, "start", "--block", f"--node-name={name}", *role, *flags],
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={name: value for name, value in values.items() if value is not None},
            )
        self._nodes.append(node)
        while "Ray runtime started" not in (self._folder / f"{name}.log").read_text():
            text = (self._folder / f"{name}.log").read_text()
            assert node.poll() is None, text
            time.sleep(0.5)
        return node

    def remove(self, node: subprocess.Popen[Any]) -> None:
        kill_family(node)

    def kill(self) -> None:
        for node in reversed(self._nodes):
            kill_family(node)


@contextlib.contextmanager
def ray_nodes(folder: Path) -> Iterator[RayNodes]:
    nodes = RayNodes(folder)
    try:
        yield nodes
    finally:
        nodes.kill()
