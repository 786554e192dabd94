"""The driver's load with many workers: the real search, with trials that only sleep."""

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
"""Any machine: computing the time left costs the same whatever its speed."""


def study_of(results: Path, *, num_trials: int, sampler: str | None = None) -> Study:
    """Return the study that is simulated."""
    options = StudyOptions(
        space=SPACE,
        corpus=CORPUS,
        trials=num_trials,
        time_budget="1000h",  # so that the time reserved for finalists is computed too
        sampler=sampler,
        results=results,
        name="simulated",
    )
    study = prepare(options, Console(quiet=True))
    # The sleep of promoted trials is not counted (`_sample`), so none are promoted.
    budget = dataclasses.replace(study.space.budget, promotes=False)
    return dataclasses.replace(study, space=dataclasses.replace(study.space, budget=budget))


def search_stages(
    num_workers: int, num_ended: Sequence[int], seconds_per_epoch: float, sampler: str | None
) -> list[Stage]:
    """Run a search until the last of these numbers of trials has ended.

    Args:
        num_workers: Number of parallel trials, each with a logical GPU.
        num_ended: Numbers of ended trials at which stages end, increasing. The search continues
            a little longer, so that no worker runs out of work before.
        seconds_per_epoch: Sleep per epoch.
        sampler: The sampler; None means the default.
    """
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)  # Ray 2.60 takes no more than it names
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
        # A terminal: its table is the most expensive way to show a search.
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
    if failed:  # their workers may have lacked memory, or time to start
        print(f"{len(failed)} trials failed, the first for: {failed[0].error}", file=sys.stderr)
    return stages(observer.samples, num_ended, num_workers)


class _Observer(threading.Thread):
    """Opens the gate once all workers have started, then samples the search at intervals."""

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
        # Ended trials are read once: the cost of sampling must not grow with their number.
        self._ended_seconds = 0.0
        self._open: set[int] = set()
        self._num_seen = 0

    def run(self) -> None:
        """Take samples until the search ends."""
        while sum(1 for _ in self._workers_folder.iterdir()) < self._num_workers:
            if self._finished.wait(SAMPLE_SECONDS):
                return
        (self._workers_folder / GATE).touch()
        # Unfinished epochs do not count: from now on, about as many are in progress at any time.
        pause = self._settling_seconds
        while not self._finished.wait(pause):
            self._sample()
            pause = SAMPLE_SECONDS
            if not self._stages:  # all stages are measured: end the search like Ctrl-C
                if self._open:
                    os.kill(os.getpid(), signal.SIGINT)
                return

    def finish(self) -> None:
        """Stop sampling."""
        self._finished.set()
        self.join()

    def _sample(self) -> None:
        records = self._history.records
        known = list(records)  # in the order in which they started, which is not by number
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
    """Return the size of a run's files without checkpoints: those of stand-ins mean nothing."""
    total = 0
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith("checkpoint")]
        for name in names:
            try:
                total += (Path(parent) / name).stat().st_size
            except FileNotFoundError:  # rewritten meanwhile
                continue
    return total
