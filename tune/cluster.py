"""Starts a local Ray, or joins a cluster, and keeps Ray's own words out of ours."""

import logging
import os
from pathlib import Path
from types import TracebackType

from model.errors import ConfigError
from tune.resources import Node, cluster_nodes, local_nodes

_PACKAGES = ("model", "search_spaces", "tune")
_ENVIRONMENT = {
    # The trials' files would be Ray's CSV, JSON and TensorBoard logs: we write our own tables.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # A diverged trial's last report has no metrics.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    # Signals are ours to handle (see stopping.py).
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # Ray 2.60: an actor still training at the end of the search is killed after so long.
    "TUNE_FORCE_TRIAL_CLEANUP_S": "10",
    "RAY_AIR_NEW_OUTPUT": "0",  # the new output prints its box even at verbose=0
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


class Cluster:
    """A context manager around Ray's life; nothing starts before it must."""

    def __init__(self, address: str | None) -> None:
        """Prepare to use Ray.

        Args:
            address: A cluster's address; None takes RAY_ADDRESS, else a local Ray.
        """
        self.address = address or os.environ.get("RAY_ADDRESS") or None
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        self._local_nodes = local_nodes() if self.address is None else []

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        import ray

        ray.shutdown()

    def nodes(self) -> list[Node]:
        """Return what there is to use; joins the cluster if one is named.

        Raises:
            ConfigError: The cluster cannot be reached.
        """
        if self.address is None:
            return self._local_nodes
        import ray

        self.start()
        return cluster_nodes(ray.nodes())

    def start(self) -> None:
        """Start the local Ray, or join the cluster; once.

        Raises:
            ConfigError: The cluster cannot be reached.
        """
        import ray

        if ray.is_initialized():
            return
        logging.getLogger("ray").setLevel(logging.CRITICAL)
        quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL}
        if self.address is None:
            (node,) = self._local_nodes
            ray.init(
                address="local",
                num_cpus=int(node.num_cpus),
                num_gpus=int(node.num_gpus),
                include_dashboard=False,
                **quiet,
            )
            return
        root = Path(__file__).resolve().parent.parent
        packages = [str(root / package) for package in _PACKAGES]
        try:
            ray.init(address=self.address, runtime_env={"py_modules": packages}, **quiet)
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(
                f"a Ray cluster must answer at {self.address!r}: {reason}"
            ) from error
