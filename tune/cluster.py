"""Starts a local Ray, or joins a cluster, and keeps Ray's own words out of ours."""

import logging
import os
import socket
from pathlib import Path
from types import TracebackType

from model.errors import ConfigError
from tune.resources import Node, cluster_nodes, local_nodes

CONNECT_SECONDS = 10.0
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
        _check_listening(self.address)
        if _has_auth_token():
            # ray 2.60: clusters ask for the token by default, yet an explicit address does not
            # send it unless told to.
            os.environ.setdefault("RAY_AUTH_MODE", "token")
        # Ray's C++ core writes its retries to our stderr, past Python's logging.
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "error")
        root = Path(__file__).resolve().parent.parent
        packages = [str(root / package) for package in _PACKAGES]
        try:
            ray.init(address=self.address, runtime_env={"py_modules": packages}, **quiet)
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(
                f"a Ray cluster must answer at {self.address!r}: {reason}"
            ) from error


def _has_auth_token() -> bool:
    named = any(name in os.environ for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    return named or (Path.home() / ".ray" / "auth_token").is_file()


def _check_listening(address: str) -> None:
    """Refuse a host and port that nobody listens at: Ray 2.60 itself tries for minutes.

    Raises:
        ConfigError: Nobody answers within CONNECT_SECONDS.
    """
    host, separator, port = address.rpartition(":")
    if not separator or "/" in address or not port.isdigit():
        return  # "auto", ray://…: Ray knows what to do
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(f"a Ray cluster must answer at {address!r}: {error}") from error
