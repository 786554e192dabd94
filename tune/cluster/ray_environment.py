"""Environment variables for Ray; must be set before the first import of ray.

Ray 2.60 reads some of them in its C++ core at import, so `main` calls this before anything
that imports Ray. For that it imports nothing of ours but the errors.
"""

import os
import secrets
from pathlib import Path

from model.errors import ConfigError

_ENVIRONMENT = {
    # The trials' files would be Ray's CSV, JSON and TensorBoard logs: we write our own tables.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # A diverged trial's last report has no metrics.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    # Signals are ours to handle (see stopper.py).
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # Ray 2.60: an actor still training at the end of the search is killed after this time.
    "TUNE_FORCE_TRIAL_CLEANUP_S": "10",
    # The states of all trials, which nobody reads: written at the start and at the end only.
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",
    # Ray 2.60 keeps an entry of each checkpoint, but then not the report that it came with.
    "TUNE_ONLY_STORE_CHECKPOINT_SCORE_ATTRIBUTE": "1",
    "RAY_AIR_NEW_OUTPUT": "0",  # the new output prints its box even at verbose=0
    # A local Ray starts a worker for each core at once. They import these while the driver
    # measures the machine, and become the actors (see experiment.py and cluster.py).
    # Ours come first: later Ray 2.60 has workers look for modules in the driver's folder before
    # all others, and what is there may have the name of one of our packages.
    "RAY_preload_python_modules": "model.system.garbage,search_spaces,tune,torch,ray.tune",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray 2.60 would let each of its logs grow to 512 MiB, and keep five older ones.
    "RAY_ROTATION_MAX_BYTES": "1048576",
    "RAY_ROTATION_BACKUP_COUNT": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def named_address(address: str | None) -> str | None:
    """Return the cluster that is to be joined; None is a Ray of this search's own.

    So is "local": as Ray 2.60 takes it, it would listen on all of the machine's addresses.

    Args:
        address: As the command line names it, or None.

    Raises:
        ConfigError: It is that of a server for Ray's clients.
    """
    found = address or os.environ.get("RAY_ADDRESS")
    if found == "auto":
        found = os.environ.get("RAY_ADDRESS") or found  # as Ray 2.60 takes it
    if found and found.startswith("ray://"):
        # Ray Tune 2.60 would make the Tuner an actor there, without our callbacks and stopper.
        raise ConfigError(
            f"a Ray cluster's address must be HOST:PORT or auto, got {found!r}: a search does not "
            f"run through Ray's client; from another machine, `ray job submit` starts it there"
        )
    return found if found and found != "local" else None


def prepare_ray_environment(address: str | None) -> None:
    """Set what is not set yet.

    Args:
        address: The cluster that will be joined, as the command line names it, or None.

    Raises:
        ConfigError: As `named_address`.
    """
    values = dict(_ENVIRONMENT)
    if named_address(address) is not None:
        # Ray 2.60: clusters ask for the token by default, yet a driver that names an address
        # does not send it unless told to.
        if _has_auth_token():
            values["RAY_AUTH_MODE"] = "token"
    else:
        # Ray 2.60 would listen on all of the machine's addresses. What it does by default on
        # macOS and Windows has it listen on the loopback address alone.
        values["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        # It would write a token into the home folder, which may be read-only, or nobody's.
        if not _names_auth_token():
            values["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    try:
        Path.home()
    except RuntimeError:  # a user without a name and HOME: Ray 2.60 cannot be imported then
        values["HOME"] = "/"
    for name, value in values.items():
        os.environ.setdefault(name, value)


def _names_auth_token() -> bool:
    return any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))


def _has_auth_token() -> bool:
    try:
        is_at_home = (Path.home() / ".ray" / "auth_token").is_file()
    except (OSError, RuntimeError):  # no home, or one that may not be looked into
        is_at_home = False
    return is_at_home or _names_auth_token()
