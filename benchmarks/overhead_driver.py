"""What many workers ask of the driver: the real search, with trials that only sleep."""

import dataclasses
import io
import logging
import tempfile
import threading
import time
from pathlib import Path

import ray
import ray.tune as ray_tune
from rich.console import Console

from benchmarks.stand_in import StandIn
from tune.history import History
from tune.records import Status
from tune.run_folder import RunFolder
from tune.search import search
from tune.study import StudyOptions, prepare

SECONDS_PER_EPOCH = 1.5
"""With the 7 epochs of a mean trial of `full` (results/reference) about 10 s a trial."""
SAMPLE_SECONDS = 1.0
ENOUGH_TRIALS = 1_000_000
"""The search ends by its time."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DriverLoad:
    """The driver's part of a search, once all its workers have started.

    Attributes:
        start_seconds: From the search's start until all workers had started.
        seconds: What was measured after that.
        num_trials: Trials that ended meanwhile.
        trial_seconds: Worker time of a trial.
        cpu_share: CPU seconds of the driver process a second, all its threads.
        waiting_share: Share of the workers' time in which they had nothing to do.
    """

    start_seconds: float
    seconds: float
    num_trials: int
    trial_seconds: float
    cpu_share: float
    waiting_share: float


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A search at one moment.

    Attributes:
        wall_seconds: By a clock.
        cpu_seconds: By the driver process.
        search_seconds: At the search's last event.
        num_workers: Workers that have started.
        num_ended: Trials that ended.
        busy_seconds: What all trials have slept, up to their last reports.
    """

    wall_seconds: float
    cpu_seconds: float
    search_seconds: float
    num_workers: int
    num_ended: int
    busy_seconds: float


def driver_load(num_workers: int, seconds: float) -> DriverLoad | None:
    """Run a search of so many seconds; None if it was too short for a figure."""
    ray.init(
        address="local",
        num_cpus=num_workers,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.CRITICAL,
    )
    console = Console(file=io.StringIO())
    with tempfile.TemporaryDirectory() as results, tempfile.TemporaryDirectory() as workers:
        options = StudyOptions(
            space="full",
            corpus="python-docs",
            trials=ENOUGH_TRIALS,
            time_budget=f"{seconds:g}s",
            finalists=0,
            results=Path(results),
            name="simulated",
        )
        study = prepare(options, console)
        folder = RunFolder.create(study.run_path)
        trainable = ray_tune.with_parameters(
            StandIn, seconds_per_epoch=SECONDS_PER_EPOCH, workers_folder=Path(workers)
        )
        with History(folder.history_file) as history:
            observer = _Observer(history, Path(workers))
            observer.start()
            search(study, folder, history, trainable, lambda: num_workers, None, console)
            observer.finish()
    ray.shutdown()
    # The last second is left out: the search's end stops the workers.
    samples = [each for each in observer.samples if each.search_seconds < seconds - 1]
    return summarised(samples, num_workers)


def summarised(samples: list[Sample], num_workers: int) -> DriverLoad | None:
    """Return what samples show after all workers had started; None if no trial ended then."""
    complete = [each for each in samples if each.num_workers >= num_workers]
    if not complete or complete[-1].num_ended == complete[0].num_ended:
        return None
    first, last = complete[0], complete[-1]
    seconds = last.wall_seconds - first.wall_seconds
    busy_seconds = last.busy_seconds - first.busy_seconds
    num_trials = last.num_ended - first.num_ended
    return DriverLoad(
        start_seconds=first.search_seconds,
        seconds=seconds,
        num_trials=num_trials,
        trial_seconds=busy_seconds / num_trials,
        cpu_share=(last.cpu_seconds - first.cpu_seconds) / seconds,
        waiting_share=1 - busy_seconds / (num_workers * seconds),
    )


class _Observer(threading.Thread):
    """Looks at a search now and then; costs the driver a few milliseconds a second."""

    def __init__(self, history: History, workers_folder: Path) -> None:
        super().__init__(daemon=True)
        self.samples: list[Sample] = []
        self._history = history
        self._workers_folder = workers_folder
        self._finished = threading.Event()

    def run(self) -> None:
        """Take samples until the search is over."""
        while not self._finished.wait(SAMPLE_SECONDS):
            records = list(self._history.records.values())
            self.samples.append(
                Sample(
                    wall_seconds=time.perf_counter(),
                    cpu_seconds=time.process_time(),
                    search_seconds=max((each.search_seconds for each in records), default=0.0),
                    num_workers=sum(1 for _ in self._workers_folder.iterdir()),
                    num_ended=sum(record.status != Status.RUNNING for record in records),
                    busy_seconds=sum(
                        record.epochs[-1].elapsed_seconds for record in records if record.epochs
                    ),
                )
            )

    def finish(self) -> None:
        """Take no more samples."""
        self._finished.set()
        self.join()
