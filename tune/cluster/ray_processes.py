"""Adapts the processes that a local Ray starts: fewer of them, each in a process group of its own.

Ray 2.60 has no option for either, so its functions are replaced while it starts.
"""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

_UNUSED_PROCESSES = ("monitor", "log_monitor", "api_server")


@contextlib.contextmanager
def adapted_processes() -> Iterator[None]:
    """Start a local Ray without processes that nobody here uses, and with a minimal agent.

    Ray 2.60 starts an autoscaler monitor, a reader of workers' logs and a dashboard server, for
    which it waits 2 s. Its agent is required, and loads its server and metrics if ray[default] is
    installed.

    Each process gets its own group, as Ray's workers do: `timeout` sends SIGTERM to the driver's
    whole group, and the driver needs Ray to end its trials.
    """
    import ray._private.utils as ray_utils
    from ray._private import services
    from ray._private.node import Node

    def not_asked_for(*_: object, **__: object) -> ImportError:
        return ImportError("not asked for")

    replaced: list[tuple[Any, str, object]] = [
        *((Node, f"start_{name}", not_asked_for) for name in _UNUSED_PROCESSES),
        (ray_utils, "get_dashboard_dependency_error", not_asked_for),
    ]
    if ray_utils.detect_fate_sharing_support():  # elsewhere Ray ends them as one group
        in_group = functools.partial(services.ConsolePopen, process_group=0)
        replaced.append((services, "ConsolePopen", in_group))
    with contextlib.ExitStack() as stack:
        for owner, name, ours in replaced:
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, ours)
        yield
