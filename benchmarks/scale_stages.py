"""The cost of a search of benchmarks.scale, computed from samples taken at intervals."""

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """The state of a search at one moment.

    Attributes:
        wall_seconds: Wall-clock time.
        cpu_seconds: CPU time of the driver process, over all its threads.
        memory_bytes: Memory of the driver process.
        num_ended: Number of trials that have ended.
        busy_seconds: Total sleep of all trials, up to their last reports.
        folder_bytes: The run folder without the trials' checkpoints; 0 if not measured.
    """

    wall_seconds: float
    cpu_seconds: float
    memory_bytes: int
    num_ended: int
    busy_seconds: float
    folder_bytes: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """A part of a search, from one number of ended trials to the next.

    Attributes:
        num_ended: Trials that had ended at its end.
        num_trials: Trials that ended during it.
        seconds: Its duration.
        trial_seconds: Sleep per trial.
        cpu_share: CPU seconds of the driver per second.
        cpu_seconds: CPU seconds of the driver per trial.
        wait_seconds: Total time that a worker waited, per trial that it ran.
        waiting_share: Share of the workers' time in which they had nothing to do.
        memory_bytes: The driver's maximum memory so far.
        folder_bytes: Size of the run folder per trial, without the trials' checkpoints.
    """

    num_ended: int
    num_trials: int
    seconds: float
    trial_seconds: float
    cpu_share: float
    cpu_seconds: float
    wait_seconds: float
    waiting_share: float
    memory_bytes: int
    folder_bytes: float

    def waiting_share_at(self, trial_seconds: float) -> float:
        """Return the share of waiting if trials took `trial_seconds` but waited no longer."""
        return self.wait_seconds / (self.wait_seconds + trial_seconds)


def stages(samples: Sequence[Sample], num_ended: Sequence[int], num_workers: int) -> list[Stage]:
    """Compute the stages from samples, from each number of ended trials to the next.

    Args:
        samples: Samples taken once all workers had started.
        num_ended: Numbers of ended trials at which stages end, increasing.
        num_workers: Number of parallel trials.
    """
    found: list[Stage] = []
    if not samples:
        return found
    first, memory_bytes = samples[0], 0
    for until in num_ended:
        reached = [sample for sample in samples if sample.num_ended >= until]
        if not reached or reached[0].num_ended == first.num_ended:
            continue
        last = reached[0]
        num_trials = last.num_ended - first.num_ended
        seconds = last.wall_seconds - first.wall_seconds
        busy_seconds = last.busy_seconds - first.busy_seconds
        waiting_seconds = max(0.0, num_workers * seconds - busy_seconds)
        cpu_seconds = last.cpu_seconds - first.cpu_seconds
        memory_bytes = max(
            memory_bytes, *(s.memory_bytes for s in samples if s.wall_seconds <= last.wall_seconds)
        )
        found.append(
            Stage(
                num_ended=last.num_ended,
                num_trials=num_trials,
                seconds=seconds,
                trial_seconds=busy_seconds / num_trials,
                cpu_share=cpu_seconds / seconds,
                cpu_seconds=cpu_seconds / num_trials,
                wait_seconds=waiting_seconds / num_trials,
                waiting_share=waiting_seconds / (num_workers * seconds),
                memory_bytes=memory_bytes,
                folder_bytes=last.folder_bytes / last.num_ended,
            )
        )
        first = last
    return found
