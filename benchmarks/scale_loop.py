"""The driver's cost per trial after a number of others, without Ray, in a simulated loop.

Searcher, journal, scheduler, history and progress are the project's own. The search continues from
synthetic trials, like a resumed one, so that the state after 10,000 trials is measured
without simulating them.
"""

import heapq
import io
import itertools
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
from pyarrow import fs
from ray.tune.schedulers import TrialScheduler
from rich.console import Console

from benchmarks.overhead_sampler import made_up_records
from benchmarks.scale_search import CURVES, SPEED, study_of
from benchmarks.stand_in import Curves, reported
from model.config import TrialConfig
from tune.job.study_json import study_file
from tune.monitoring.progress import Progress
from tune.planning.estimate import Estimate, Remaining
from tune.planning.finalist_budget import reserved_seconds
from tune.records.history import EpochEnded, History, TrialEnded, TrialStarted
from tune.records.load import read_run
from tune.records.run_folder import RunFolder
from tune.records.trial import TrialRecord
from tune.reporting.page import write_page
from tune.sampling.optuna_study import open_study
from tune.sampling.searcher import StudySearcher
from tune.trials.asha import FairASHA
from tune.trials.recorder import Recorder
from tune.trials.stopper import SearchStopper

PER_TRIAL = ("suggest", "tell", "judge", "record")
"""The costs of each trial; the rest occurs at intervals, or once."""


class _Stopwatch:
    """CPU seconds of this thread, by purpose."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.thread_time()
        yield
        self.seconds[name] += time.thread_time() - start


def loop_cost(
    num_told: int, num_trials: int, num_workers: int, sampler: str | None
) -> dict[str, float]:
    """Return the driver's CPU seconds by purpose, without Ray's own.

    Those of PER_TRIAL are per trial: its proposal, what the searcher learns from it, the
    scheduler's decisions, its history and lines of progress. "resume", "display" (the table on a
    terminal, drawn twice a second), "reserve" (time for finalists, computed every two seconds),
    "tables" (at most 5 % of one thread's time) and "page" (at most 2 %) are per occurrence.

    Args:
        num_told: Trials before those that are measured.
        num_trials: Trials that are measured.
        num_workers: Number of parallel trials.
        sampler: The sampler; None means the default.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with tempfile.TemporaryDirectory() as results:
        study = study_of(Path(results), num_trials=num_told + num_trials, sampler=sampler)
        folder = RunFolder.create(study.run_path, study_file(study, None, None))
        with History(folder.history_file) as history:
            for record in made_up_records(study.space, num_told):
                _write(history, record)
        watch = _Stopwatch()
        with watch("resume"):
            history = History(folder.history_file)
            known = list(history.records.values())
            scheduler = FairASHA(study.space.budget, max_reports=study.space.max_reports)
            scheduler.replay(known)
            searcher = StudySearcher(
                open_study(folder.optuna_file, study.space, records=known),
                study.space,
                seed=study.settings.seed,
                sampler=study.settings.sampler,
                records=known,
            )
            estimate = Estimate(study, SPEED, num_workers)
            progress = Progress(
                Console(quiet=True),
                study.space,
                num_trials=study.num_trials,
                clock=lambda: 1.0,
                seconds_left=lambda: 1.0,
                earlier=known,
                remaining=Remaining(estimate),
            )
        clock = [history.seconds()]

        class SimulatedTime(SearchStopper):
            def seconds(self) -> float:
                return clock[0]

        recorder = Recorder(
            history, SimulatedTime(None), save=lambda records: None, listeners=[progress]
        )
        with history:
            _simulate_once(searcher, scheduler, recorder, watch, clock, num_trials, num_workers)
            records = list(history.records.values())
            for name, once in (
                ("display", lambda: Console(file=io.StringIO()).print(progress._render())),
                ("reserve", lambda: reserved_seconds(study, records, num_workers)),
                ("tables", lambda: folder.write_tables(records)),
                ("page", lambda: write_page(read_run(folder), folder)),
            ):
                with watch(name):
                    once()
    return {
        name: seconds / (num_trials if name in PER_TRIAL else 1)
        for name, seconds in watch.seconds.items()
    }


def _write(history: History, record: TrialRecord) -> None:
    history.add(
        TrialStarted(
            number=record.number,
            baseline=record.baseline,
            config=record.config.to_dict(),
            search_seconds=0.0,
        )
    )
    for epoch in record.epochs:
        history.add(
            EpochEnded(epoch=epoch, precision="float32", num_parameters=1, vocabulary_size=1)
        )
    seconds = record.epochs[-1].search_seconds
    history.add(
        TrialEnded(number=record.number, status=record.status, error="", search_seconds=seconds)
    )


def _simulate_once(
    searcher: StudySearcher,
    scheduler: FairASHA,
    recorder: Recorder,
    watch: _Stopwatch,
    clock: list[float],
    num_trials: int,
    num_workers: int,
) -> None:
    """Run trials on simulated workers, one epoch per second, with Ray 2.60's sequence of calls."""
    curves = Curves.read(CURVES)
    names = itertools.count()
    waiting: list[tuple[float, int, Any, int]] = []
    nowhere = SimpleNamespace(storage_filesystem=fs.LocalFileSystem(), trial_fs_path="/nowhere/x")

    def start() -> None:
        name = next(names)
        if name >= num_trials:
            return
        with watch("suggest"):
            proposal = searcher.suggest(str(name))
        assert isinstance(proposal, dict)
        trial = SimpleNamespace(
            trial_id=str(name),
            config=proposal,
            curve=curves.of(TrialConfig.from_dict(proposal["config"])),
            storage=nowhere,
            run_metadata=SimpleNamespace(),
            num_failures=0,
        )
        with watch("record"):
            recorder.on_trial_start(trial=trial)
        heapq.heappush(waiting, (clock[0] + 1.0, name, trial, 1))

    for _ in range(num_workers):
        start()
    while waiting:
        clock[0], name, trial, epoch = heapq.heappop(waiting)
        finished = epoch >= trial.config["config"]["epochs"]
        result = reported(trial.curve, epoch, elapsed_seconds=float(epoch), is_finished=finished)
        trial.last_result = result
        with watch("record"):
            recorder.on_trial_result(trial=trial, result=result)
        with watch("judge"):
            if finished:
                scheduler.on_trial_complete(None, trial, result)
            else:
                decision = scheduler.on_trial_result(None, trial, result)
                finished = decision == TrialScheduler.STOP
        with watch("tell"):
            if finished:
                searcher.on_trial_complete(trial.trial_id, result)
            else:
                searcher.on_trial_result(trial.trial_id, result)
        if finished:
            with watch("record"):
                recorder.on_trial_complete(trial=trial)
            start()
        else:
            heapq.heappush(waiting, (clock[0] + 1.0, name, trial, epoch + 1))
