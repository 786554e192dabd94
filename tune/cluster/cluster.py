"""Starts a local Ray or joins a cluster, and keeps Ray's output out of ours."""

import dataclasses
import logging
import os
import shlex
import socket
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.errors import ConfigError, first_line
from model.system.limits import resident_bytes
from tune.cluster.ray_environment import named_address
from tune.cluster.ray_processes import adapted_processes
from tune.cluster.resources import (
    Node,
    TrialResources,
    cluster_nodes,
    local_nodes,
    num_concurrent,
    trial_resources,
    why_busy,
)
from tune.cluster.temporary_folder import FOLDER_MODE, make_ray_folder, remove_all, why_full
from tune.cluster.trial_memory import GIBIBYTE

if TYPE_CHECKING:
    from model.training.kept_machine import KeptMachine
    from model.training.speed import Machine

CONNECT_SECONDS = 10.0
MEASURE_SECONDS = 300.0
"""For free resources, a process, its imports (torch from NFS may take minutes) and measuring."""
_PACKAGES = ("model", "search_spaces", "tune")


class Cluster(AbstractContextManager["Cluster"]):
    """A context manager for Ray's lifetime; nothing starts before it must."""

    def __init__(self, address: str | None) -> None:
        """Prepare to use Ray.

        Args:
            address: A cluster's address; None takes RAY_ADDRESS, else a local Ray.

        Raises:
            ConfigError: As `named_address`.
        """
        self.address = named_address(address)
        self._source = "" if address else " (from RAY_ADDRESS; without it, Ray starts here)"
        self._folders: list[Path] = []  # of a local Ray
        self._node: Node | None = None  # where a local Ray is, once looked at
        self.busy = ""  # why_busy of it
        self._resident_bytes = self._taken_bytes = 0
        self._trial_cpus = 1
        self._kept: KeptMachine | None = None
        self._is_over = False
        # Linux kills Ray's processes when the thread that started them ends, so this one stays.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ray-start")
        self._started: Future[None] | None = None

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the local Ray, or leave the cluster."""
        self._is_over = True
        try:
            if self._started is not None:
                import ray

                wait([self._started])
                ray.shutdown()
            self._thread.shutdown()
        finally:
            self.remove_folders()

    def remove_folders(self) -> None:
        """Remove what a local Ray left in the temporary folder, after it has ended."""
        remove_all(self._folders)

    def why_full(self) -> str | None:
        """Return why the local Ray's temporary folder accepts no files, or None."""
        for folder in self._folders[:1]:
            reason = why_full(folder.parent)
            if reason is not None:
                return f"the temporary folder must be writable: {folder.parent}: {reason}"
        return None

    def check_local(self) -> None:
        """Check that a local Ray, if one will be used, can start its workers and write its files.

        Raises:
            ConfigError: The path of Python, or the temporary folder, is unsuitable.
        """
        if self.address is None and not self._folders:
            # Ray 2.60 starts its workers by `bash -c`, with this path unquoted. Inside a word,
            # bash takes `~` and letters beyond ASCII as they are.
            ascii_path = sys.executable.encode("ascii", "ignore").decode().replace("~", "")
            if shlex.quote(ascii_path) != ascii_path:
                raise ConfigError(
                    "the path of Python must have no blanks, quotes or other characters that a "
                    f"shell reads, for Ray's workers to start, got {sys.executable!r}; install "
                    "into a virtual environment elsewhere"
                )
            self._folders.append(make_ray_folder())

    def check_local_trial(self, cpus: int, gpus: float | None) -> None:
        """Check that this machine has what a trial needs, if Ray will be started here.

        Args:
            cpus: As in `trial_resources`.
            gpus: As there.

        Raises:
            ConfigError: It lacks something.
        """
        self._trial_cpus = cpus
        if self.address is None:
            nodes = self._local_nodes()
            num_concurrent(nodes, trial_resources(nodes, cpus=cpus, gpus=gpus), None)

    def nodes(self) -> list[Node]:
        """Return the nodes to use; joins the cluster if one is named.

        Raises:
            ConfigError: The cluster cannot be reached.
        """
        if self.address is None:
            return self._local_nodes()
        import ray

        self.start()
        return cluster_nodes(ray.nodes())

    def _local_nodes(self) -> list[Node]:
        """Return this machine as it was at the first call, usually before Ray starts."""
        if self._node is None:
            self._resident_bytes = resident_bytes()
            (self._node,) = local_nodes()
            self.busy = why_busy(self._node)
        return [self._node]

    def take_memory(self) -> None:
        """Deduct from a local Ray's memory what this process took since `_local_nodes` looked."""
        if self.address is None:
            (node,) = self._local_nodes()
            self._taken_bytes = max(0, resident_bytes() - self._resident_bytes)
            left = max(0.0, node.memory_bytes - self._taken_bytes)
            self._node = dataclasses.replace(node, memory_bytes=left)

    def measure(
        self, need: TrialResources, *, held_bytes: int = 0, **trials: Any
    ) -> "Machine | str":
        """Measure what trials run on, in this process or in one worker for all.

        In this process, unless an earlier search did so within a day. In a worker on a cluster, or
        if trials have GPUs: a process that has measured on a GPU keeps some of its memory until it
        ends, and the driver lives as long as the search.

        Args:
            need: A trial's resources.
            held_bytes: Size of the text in this process; trials' processes do not hold their own.
            trials: Further arguments of `measure_machine`.

        Returns:
            What was measured, or why nothing could be.
        """
        from model.system.devices import use_threads
        from model.training.kept_machine import KeptMachine
        from model.training.speed import measure_machine

        asked = {**trials, "num_threads": need.cpus, "use_gpu": need.gpus > 0}
        if self.address is None and not need.gpus:
            use_threads(need.cpus)  # measured or kept: this process also scores and writes text
            self._kept = KeptMachine(**asked)
            here = self._kept.get()
            if here is None:
                here = measure_machine(**asked)
                here = dataclasses.replace(here, process_bytes=here.process_bytes - held_bytes)
                self._kept.keep(here)
            return here
        import ray

        self.start()
        task = ray.remote(num_cpus=need.cpus, num_gpus=need.gpus)(measure_machine)
        result = task.remote(**asked)
        try:
            machine: Machine = ray.get(result, timeout=MEASURE_SECONDS)
        except ray.exceptions.GetTimeoutError:
            ray.cancel(result, force=True)
            return (
                f"no worker has measured it within {MEASURE_SECONDS:g} s: the cluster is full, "
                f"or slow to import torch"
            )
        except ray.exceptions.RayError as error:
            of_task = isinstance(error, ray.exceptions.RayTaskError)  # a traceback
            reason = str(error).strip().splitlines()[-1 if of_task else 0]
            return f"a worker failed to measure it: {reason}"
        return machine

    def compare(self, ratios: Sequence[float]) -> None:
        """Compare the kept measurement of this machine with ended trials: KeptMachine.compare."""
        if self._kept is not None:
            self._kept.compare(ratios)

    def check_storage(self, location: str) -> None:
        """Check that every node can write and read a storage, if there may be several.

        Args:
            location: An absolute path or a URI.

        Raises:
            ConfigError: A node cannot.
        """
        if self.address is not None:
            from tune.cluster.storage_check import check_nodes

            self.start()
            check_nodes(location)

    def start_local_soon(self) -> None:
        """Start a local Ray in the background, if one will be used; do not join a cluster yet.

        Raises:
            ConfigError: The temporary folder is unsuitable.
        """
        if self.address is None:
            self.start_soon()

    def start_soon(self) -> None:
        """Start a local Ray, or join the cluster, in the background.

        Ray takes 2 s, and its workers' imports as long again.

        Raises:
            ConfigError: The temporary folder is unsuitable for a local Ray.
        """
        self.check_local()
        if self._started is None:
            nodes = self._local_nodes() if self.address is None else []
            self._started = self._thread.submit(self._start, nodes)

    def start(self) -> None:
        """Start the local Ray, or join the cluster, if that has not happened.

        Raises:
            ConfigError: The cluster cannot be reached, or the local Ray does not start.
        """
        self.start_soon()
        assert self._started is not None
        self._started.result()
        if self._taken_bytes:
            from ray.util import placement_group

            placement_group([{"memory": self._taken_bytes}])
            self._taken_bytes = 0

    def _start(self, nodes: list[Node]) -> None:
        import ray

        if self._is_over:  # a user's mistake was found meanwhile
            return
        logging.getLogger("ray").setLevel(logging.CRITICAL)
        quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL}
        if self.address is None:
            (node,) = nodes
            # Ray 2.60 starts a process for each, 236 MB with torch; trials ask for a GiB or more.
            most_trials = max(1, int(node.memory_bytes // GIBIBYTE))
            num_cpus = min(int(node.num_cpus), self._trial_cpus * most_trials)
            # Ray 2.60 ends idle workers if they, the driver and one more exceed the cores: those
            # that it has begun to start for the actors.
            os.environ.setdefault("RAY_num_workers_soft_limit", str(num_cpus + 2))
            (folder,) = self._folders
            try:
                with adapted_processes():
                    ray.init(
                        address="local",
                        num_cpus=num_cpus,
                        num_gpus=int(node.num_gpus),
                        _memory=int(node.memory_bytes),
                        _temp_dir=str(folder),
                        include_dashboard=False,
                        **quiet,
                    )
                folder.chmod(FOLDER_MODE)  # Ray 2.60 lets everybody in
            except Exception as error:  # Ray 2.60 raises Exception itself, among others
                raise ConfigError(
                    f"a local Ray must start, with its files in {folder.parent}: "
                    f"{first_line(error)}"
                ) from error
            from tune.cluster.precision import node_folder  # imports torch, which takes 2 s

            self._folders += filter(None, [node_folder()])
            return
        root = Path(__file__).resolve().parents[2]  # the folder of tune/
        packages = [str(root / package) for package in _PACKAGES]
        try:
            _check_listening(self.address)
            ray.init(address=self.address, runtime_env={"py_modules": packages}, **quiet)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise ConfigError(
                f"a Ray cluster must answer at {self.address!r}{self._source}: {first_line(error)}"
            ) from error


def _check_listening(address: str) -> None:
    """Refuse a host and port where nobody listens: Ray 2.60 itself tries for minutes.

    It also does so with "auto", if the cluster that was started last is gone.

    Raises:
        ConnectionError: Nobody answers within CONNECT_SECONDS.
    """
    if address == "auto":
        from ray._private import services

        address = str(services.canonicalize_bootstrap_address(address))
    host, separator, port = address.rpartition(":")
    if not separator or "/" in address or not port.isdigit():
        return  # http://…: Ray names the rule
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ConnectionError(error) from error
