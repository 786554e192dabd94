"""What many workers ask of the driver: the real search, with trials that only sleep."""

import dataclasses
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import ray
import ray.tune as ray_tune
from rich.console import Console

from benchmarks.scale_stages import Sample, Stage, stages
from benchmarks.stand_in import GATE, Curves, StandIn
from model.training.speed import MachineSpeed
from tune.job.prepare import prepare
from tune.job.search import search
from tune.job.study_json import study_file
from tune.planning.estimate import Estimate
from tune.planning.study import Study, StudyOptions
from tune.records.history import History
from tune.records.run_folder import RunFolder
from tune.records.trial import Status
from tune.storage.requests import Requests

SPACE, CORPUS = "full", "python-docs"
CURVES = Path(__file__).parent / "curves" / "alice.parquet"
SAMPLE_SECONDS = 0.5
SPEED = MachineSpeed(seconds=(1e-3, 1e-5, 1e-11, 1e-8, 1e-8))
"""Any machine: that the time left is worked out costs as much whatever it is."""


def study_of(results: Path, *, num_trials: int, sampler: str | None = None) -> Study:
    """Return the study that all of this plays."""
    options = StudyOptions(
        space=SPACE,
        corpus=CORPUS,
        trials=num_trials,
        time_budget="1000h",  # so that what is kept for finalists is worked out too
        sampler=sampler,
        results=results,
        name="simulated",
    )
    study = prepare(options, Console(quiet=True))
    # What a promoted trial sleeps is not counted (`_sample`), so none is.
    budget = dataclasses.replace(study.space.budget, promotes=False)
    return dataclasses.replace(study, space=dataclasses.replace(study.space, budget=budget))


def search_stages(
    num_workers: int, num_ended: Sequence[int], seconds_per_epoch: float, sampler: str | None
) -> list[Stage]:
    """Run a search until the last of these numbers of trials have ended.

    Args:
        num_workers: Trials at once, each with a logical GPU.
        num_ended: Where a stage ends, growing. The search goes on a little longer, so that no
            worker is at the end of its work before.
        seconds_per_epoch: How long an epoch sleeps.
        sampler: Proposes the trials; None is the default.
    """
    ray.init(
        address="local",
        num_cpus=num_workers,
        num_gpus=num_workers,
        object_store_memory=2**28,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.CRITICAL,
    )
    with (
        tempfile.TemporaryDirectory() as results,
        tempfile.TemporaryDirectory() as workers,
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
    ):
        # A terminal: its table is the dearest way to show a search.
        console = Console(file=nowhere, force_terminal=True, width=160)
        study = study_of(Path(results), num_trials=num_ended[-1] + num_workers, sampler=sampler)
        folder = RunFolder.create(study.run_path, study_file(study, None, None))
        trainable = ray_tune.with_resources(
            ray_tune.with_parameters(
                StandIn,
                curves=Curves.read(CURVES),
                seconds_per_epoch=seconds_per_epoch,
                workers_folder=Path(workers),
            ),
            {"cpu": 1, "gpu": 1},
        )
        with (
            Requests([str(folder.path)], print) as requests,
            History(folder.history_file) as history,
        ):
            observer = _Observer(
                history,
                folder,
                Path(workers),
                num_workers,
                num_ended,
                settling_seconds=2 * seconds_per_epoch,
            )
            observer.start()
            estimate = Estimate(study, SPEED, num_workers)
            result = search(
                study,
                folder,
                history,
                trainable,
                lambda: num_workers,
                estimate,
                console,
                spent_seconds=0.0,
                finalists={},
                requests=requests,
            )
            observer.finish()
    ray.shutdown()
    failed = [record for record in result.records if record.status == Status.FAILED]
    if failed:  # their workers may have had no memory, or no time to start
        print(f"{len(failed)} trials failed, the first for: {failed[0].error}", file=sys.stderr)
    return stages(observer.samples, num_ended, num_workers)


class _Observer(threading.Thread):
    """Opens the gate once all workers have started, then looks at the search now and then."""

    def __init__(
        self,
        history: History,
        folder: RunFolder,
        workers_folder: Path,
        num_workers: int,
        num_ended: Sequence[int],
        settling_seconds: float,
    ) -> None:
        super().__init__(daemon=True)
        self.samples: list[Sample] = []
        self._history, self._folder = history, folder
        self._workers_folder, self._num_workers = workers_folder, num_workers
        self._stages = list(num_ended)
        self._settling_seconds = settling_seconds
        self._process = psutil.Process()
        self._finished = threading.Event()
        # What has ended is looked at once: looking must not cost the more the more there is.
        self._ended_seconds = 0.0
        self._open: set[int] = set()
        self._num_seen = 0

    def run(self) -> None:
        """Take samples until the search is over."""
        while sum(1 for _ in self._workers_folder.iterdir()) < self._num_workers:
            if self._finished.wait(SAMPLE_SECONDS):
                return
        (self._workers_folder / GATE).touch()
        # An epoch under way does not count yet: from then on as many are at each moment.
        pause = self._settling_seconds
        while not self._finished.wait(pause):
            self._sample()
            pause = SAMPLE_SECONDS
            if not self._stages:  # all is measured: end the search as Ctrl-C does
                if self._open:
                    os.kill(os.getpid(), signal.SIGINT)
                return

    def finish(self) -> None:
        """Take no more samples."""
        self._finished.set()
        self.join()

    def _sample(self) -> None:
        records = self._history.records
        known = list(records)  # in the order in which they began, which is not by number
        self._open |= set(known[self._num_seen :])
        self._num_seen = len(known)
        busy_seconds = 0.0
        for number in list(self._open):
            record = records[number]
            slept = record.epochs[-1].elapsed_seconds if record.epochs else 0.0
            if record.status == Status.RUNNING:
                busy_seconds += slept
            else:
                self._ended_seconds += slept
                self._open.discard(number)
        num_ended = self._num_seen - len(self._open)
        folder_bytes = 0
        while self._stages and num_ended >= self._stages[0]:
            del self._stages[0]
            folder_bytes = _bytes_below(self._folder.path)
        self.samples.append(
            Sample(
                wall_seconds=time.perf_counter(),
                cpu_seconds=time.process_time(),
                memory_bytes=self._process.memory_info().rss,
                num_ended=num_ended,
                busy_seconds=busy_seconds + self._ended_seconds,
                folder_bytes=folder_bytes,
            )
        )


def _bytes_below(folder: Path) -> int:
    """Return the size of a run's files, checkpoints left out: those of stand-ins say nothing."""
    total = 0
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith("checkpoint")]
        for name in names:
            try:
                total += (Path(parent) / name).stat().st_size
            except FileNotFoundError:  # written anew meanwhile
                continue
    return total
