"""Has Ray Tune take each way in which a worker is lost for the death of a worker.

Ray 2.60 ends the whole search where its memory monitor killed a trial's worker: RayActorManager
knows the errors RayActorError and RayTaskError and no other, OutOfMemoryError for one.
tests/test_upstream.py fails when that has changed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.air.execution._internal import RayActorManager
from ray.exceptions import RayActorError, RayError, RayTaskError


@contextmanager
def losses_are_deaths() -> Iterator[None]:
    """Have Ray Tune start a trial anew on another worker, however it lost the one it had."""
    original = RayActorManager._actor_task_failed

    def task_failed(
        manager: RayActorManager, tracked_actor_task: Any, exception: Exception
    ) -> None:
        if isinstance(exception, RayError) and not isinstance(
            exception, RayActorError | RayTaskError
        ):
            # The rest of an OutOfMemoryError are lists of what else took memory.
            first_line = str(exception).partition("\n")[0]
            exception = RayActorError(error_msg=first_line)
        original(manager, tracked_actor_task, exception)

    RayActorManager._actor_task_failed = task_failed
    try:
        yield
    finally:
        RayActorManager._actor_task_failed = original
