"""Environment variables for Ray; must be set before the first import of ray.

Ray 2.60 reads some of them in its C++ core at import, so `main` calls this before anything that
imports Ray. So of our modules, it imports only the errors.
"""

import os
import secrets
from pathlib import Path

from model.errors import ConfigError

_ENVIRONMENT = {
    # No CSV, JSON and TensorBoard logs from Ray: we write our own tables.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # A diverged trial's last report has no metrics.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    # Signals are ours to handle (see stopper.py).
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # Ray 2.60 kills an actor that still trains at the end of the search after this time.
    "TUNE_FORCE_TRIAL_CLEANUP_S": "10",
    # Nobody reads the states of all trials: written only at the start and at the end.
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",
    # Ray 2.60 keeps an entry per checkpoint; with this, without the report that came with it.
    "TUNE_ONLY_STORE_CHECKPOINT_SCORE_ATTRIBUTE": "1",
    "RAY_AIR_NEW_OUTPUT": "0",  # the new output prints its box even at verbose=0
    # A local Ray immediately starts a worker per core. These workers import the following while
    # the driver measures the machine, and become the actors (see experiment.py and cluster.py).
    # Ours come first: later, Ray 2.60 makes workers look for modules in the driver's folder before
    # all others, where something may have the name of one of our packages.
    "RAY_preload_python_modules": "model.system.garbage,search_spaces,tune,torch,ray.tune",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray 2.60 would let each of its logs grow to 512 MiB, and keep five older ones.
    "RAY_ROTATION_MAX_BYTES": "1048576",
    "RAY_ROTATION_BACKUP_COUNT": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def named_address(address: str | None) -> str | None:
    """Return the cluster to join; None for a Ray of this search's own.

    "local" also means None: in Ray 2.60 it would listen on all of the machine's addresses.

    Args:
        address: From the command line, or None.

    Raises:
        ConfigError: It belongs to a server for Ray's clients.
    """
    found = address or os.environ.get("RAY_ADDRESS")
    if found == "auto":
        found = os.environ.get("RAY_ADDRESS") or found  # as in Ray 2.60
    if found and found.startswith("ray://"):
        # Ray Tune 2.60 would run the Tuner as an actor there, without our callbacks and stopper.
        raise ConfigError(
            f"a Ray cluster's address must be HOST:PORT or auto, got {found!r}: a search does not "
            f"run through Ray's client; from another machine, `ray job submit` starts it there"
        )
    return found if found and found != "local" else None


def prepare_ray_environment(address: str | None) -> None:
    """Set the variables that are not set yet.

    Args:
        address: The cluster to join, from the command line, or None.

    Raises:
        ConfigError: As `named_address`.
    """
    values = dict(_ENVIRONMENT)
    if named_address(address) is not None:
        # In Ray 2.60, clusters require the token by default, but a driver that names an address
        # sends it only if told to.
        if _has_auth_token():
            values["RAY_AUTH_MODE"] = "token"
    else:
        # Ray 2.60 would listen on all of the machine's addresses. With its default setting for
        # macOS and Windows, it listens only on the loopback address.
        values["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        # It would write a token into the home folder, which may be read-only or missing.
        if not _names_auth_token():
            values["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    try:
        Path.home()
    except RuntimeError:  # without user name and HOME, Ray 2.60 cannot be imported
        values["HOME"] = "/"
    for name, value in values.items():
        os.environ.setdefault(name, value)


def _names_auth_token() -> bool:
    return any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))


def _has_auth_token() -> bool:
    try:
        is_at_home = (Path.home() / ".ray" / "auth_token").is_file()
    except (OSError, RuntimeError):  # no home, or an unreadable one
        is_at_home = False
    return is_at_home or _names_auth_token()
