"""Workers that die or hang: each loss counts as a death, and a silent worker is killed.

If Ray 2.60's memory monitor kills a trial's worker, the whole search ends: RayActorManager handles
only RayActorError and RayTaskError, not, for example, OutOfMemoryError.
tests/project/test_upstream.py fails when that has changed.

Ray 2.60 waits for ever for a worker that hangs. It may hang outside Python, in a device driver or
a file system, so its process is killed rather than asked to stop.
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
"""Maximum time counted between two steps of Ray's loop. While the driver writes tables or waits
for a disk, the reports of healthy trials wait too."""


@contextmanager
def losses_are_deaths() -> Iterator[None]:
    """Make Ray Tune restart a trial on another worker, however it lost its own."""
    original = RayActorManager._actor_task_failed

    def task_failed(
        manager: RayActorManager, tracked_actor_task: Any, exception: Exception
    ) -> None:
        if isinstance(exception, RayError) and not isinstance(
            exception, RayActorError | RayTaskError
        ):
            # The rest of an OutOfMemoryError lists what else used memory.
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
            seconds: Longest allowed silence: from a trial's start to its first report, between
                reports, during a save. None for no limit.
            will_fail: Called with a trial whose worker is about to be killed, and the reason.
        """
        self._seconds = seconds
        self._will_fail = will_fail
        self._silent_since: dict[Trial, float] = {}
        self._ran_seconds, self._last_step = 0.0, time.monotonic()

    def on_step_begin(self, **_: Any) -> None:
        """Kill overdue workers; Ray calls this ten times a second."""
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
        """Restart the count: the trial gave a sign of life."""
        self._silent_since[trial] = self._ran_seconds

    def _gone(self, *, trial: Trial, **_: Any) -> None:
        """Forget the trial, at least until its next worker."""
        self._silent_since.pop(trial, None)

    on_trial_start = on_trial_result = on_trial_save = _reported
    on_trial_recover = on_trial_complete = on_trial_error = _gone
