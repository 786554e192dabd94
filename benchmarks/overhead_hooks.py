"""The CPU seconds that hooks, the orders of `tune.control` and the search from Python cost."""

import tempfile
import time
from pathlib import Path

from rich.console import Console

import tune
from benchmarks.overhead_sampler import made_up_records
from search_spaces import load_space
from tune.monitoring.tracker import TrackedSearch, Tracker
from tune.monitoring.trackers import Trackers
from tune.storage.requests import Requests

WATCHED_SECONDS = 20.0
"""Seconds for which the folder of orders is watched."""
NUM_TRIALS = 200
"""Number of trials that trackers receive."""


class _Silent(Tracker):
    """A user's own tracker, which does nothing."""

    def __init__(self, search: TrackedSearch) -> None:
        """Store nothing."""


def orders_share(seconds: float) -> float:
    """Return the share of a core that looking for orders takes while none arrives."""
    with tempfile.TemporaryDirectory() as folder, Requests([folder], print):
        start = time.process_time()
        time.sleep(seconds)
        return (time.process_time() - start) / seconds


def report_seconds(num_trials: int) -> float:
    """Return the CPU seconds per synthetic report, for TensorBoard and a user's own tracker."""
    space = load_space("extended")
    records = made_up_records(space, num_trials)
    num_reports = 0
    with tempfile.TemporaryDirectory() as folder:
        search = TrackedSearch(name="timed", folder=Path(folder), space=space, search_id="0" * 12)
        start = time.process_time()
        with Trackers(search, {"own": _Silent}, Console(quiet=True)) as trackers:
            for record in records:
                trackers.trial_started(record)
                for _ in record.epochs:
                    trackers.epoch_ended(record)
                num_reports += len(record.epochs)
                trackers.trial_ended(record)
        return (time.process_time() - start) / num_reports


def python_share(minutes: float) -> float:
    """Return the share of a core that the process calling `tune.search` takes."""
    with tempfile.TemporaryDirectory() as results:
        start, cpu_start = time.perf_counter(), time.process_time()
        tune.search(
            space="full",
            corpus="python-docs",
            time_budget=f"{minutes:g}m",
            finalists=0,
            results=results,
        )
        return (time.process_time() - cpu_start) / (time.perf_counter() - start)
