"""Workers that die or are stuck: each loss is a death of its trial, and a silent one is killed.

Ray 2.60 ends the whole search where its memory monitor killed a trial's worker: RayActorManager
knows the errors RayActorError and RayTaskError and no other, OutOfMemoryError for one.
tests/project/test_upstream.py fails when that has changed.

For a worker that is stuck Ray 2.60 waits for ever. It can hang where no Python code runs any more,
in a driver of the device or in a file system, so its process is killed, not asked.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray
import ray.tune as ray_tune
from ray.air.execution._internal import RayActorManager
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.tune.experiment import Trial

from model.system.durations import format_seconds
from tune.trials.driver_only import DriverOnly

STEP_SECONDS = 1.0
"""Most time that is counted between two steps of Ray's loop. While the driver writes tables or
waits for a disk, reports of trials that are well wait for it."""


@contextmanager
def losses_are_deaths() -> Iterator[None]:
    """Have Ray Tune restart a trial on another worker, however it lost the one it had."""
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


class TrialTimeout(DriverOnly, ray_tune.Callback):
    """Watches the time since each running trial's last sign of life."""

    def __init__(self, seconds: float | None, *, will_fail: Callable[[Trial, str], None]) -> None:
        """Watch trials.

        Args:
            seconds: Longest silence of a trial: from its start to its first report, from one
                report to the next, while it saves. None is for ever.
            will_fail: Called with a trial whose worker is about to be killed, and the reason.
        """
        self._seconds = seconds
        self._will_fail = will_fail
        self._silent_since: dict[Trial, float] = {}
        self._ran_seconds, self._last_step = 0.0, time.monotonic()

    def on_step_begin(self, **_: Any) -> None:
        """Kill what is overdue; Ray calls this ten times a second."""
        if self._seconds is None:
            return
        now = time.monotonic()
        self._ran_seconds += min(STEP_SECONDS, now - self._last_step)
        self._last_step = now
        deadline = self._ran_seconds - self._seconds
        for trial in [t for t, since in self._silent_since.items() if since < deadline]:
            del self._silent_since[trial]
            actor = trial.temporary_state.ray_actor
            if actor is not None:
                self._will_fail(
                    trial, f"no report for {format_seconds(self._seconds)} (--trial-timeout)"
                )
                ray.kill(actor)

    def _reported(self, *, trial: Trial, **_: Any) -> None:
        """Restart the count: it gave a sign of life."""
        self._silent_since[trial] = self._ran_seconds

    def _gone(self, *, trial: Trial, **_: Any) -> None:
        """Forget it, or wait for its next worker."""
        self._silent_since.pop(trial, None)

    on_trial_start = on_trial_result = on_trial_save = _reported
    on_trial_recover = on_trial_complete = on_trial_error = _gone
