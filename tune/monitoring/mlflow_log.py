"""A search in MLflow: one experiment a run folder, one MLflow run a trial.

Events are sent by a thread of their own, in order: a slow server does not hold up the search. A
trial that goes on after an interruption goes on in its MLflow run.
"""

import importlib.util
import logging
import os
import queue
import threading
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from model.errors import ConfigError
from tune.records.trial import SCORES, Status, TrialRecord

if TYPE_CHECKING:
    from mlflow import MlflowClient

CLOSE_SECONDS = 60.0
"""Longest wait, after a search, for the server to take what is left."""
NUMBER_TAG, BASELINE_TAG, STATUS_TAG = "trial_number", "baseline", "status"
_ENDS = {
    Status.COMPLETE: "FINISHED",
    Status.PRUNED: "FINISHED",
    Status.STOPPED: "KILLED",
    Status.DIVERGED: "FAILED",
    Status.FAILED: "FAILED",
}


class BackgroundTasks:
    """A queue of tasks with one thread; after one that raises none is run."""

    def __init__(self) -> None:
        """Start the thread."""
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._failure: Exception | None = None
        self._abandoned = False
        self._thread = threading.Thread(target=self._run, daemon=True, name="mlflow")
        self._thread.start()

    def submit(self, task: Callable[..., None], *values: Any) -> None:
        """Have a task run after those before it.

        Raises:
            Exception: What one of those raised.
        """
        self._raise_failure()
        self._tasks.put(lambda: task(*values))

    def close(self, wait_seconds: float) -> None:
        """Wait until all have run.

        Args:
            wait_seconds: The longest wait.

        Raises:
            TimeoutError: Some are left.
            Exception: What one of them raised.
        """
        self._tasks.put(None)
        deadline = time.monotonic() + wait_seconds
        while self._thread.is_alive() and time.monotonic() < deadline:
            self._thread.join(0.1)  # Ctrl-C ends the wait
        self._raise_failure()
        if self._thread.is_alive():
            left = self._tasks.qsize()
            raise TimeoutError(f"{left} events could not be sent within {wait_seconds:g} s")

    def abandon(self) -> None:
        """Run no other, and wait for none."""
        self._abandoned = True
        self._tasks.put(None)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None and not self._abandoned:
            try:
                task()
            except Exception as error:
                self._failure = error
                return


def check_mlflow(uri: str) -> None:
    """Refuse a tracking URI where MLflow is not installed.

    Raises:
        ConfigError: It is not, or the URI is empty.
    """
    if not uri:
        raise ConfigError("--mlflow needs a tracking URI: http://host:5000 or sqlite:///mlflow.db")
    if importlib.util.find_spec("mlflow") is None:
        raise ConfigError("--mlflow needs MLflow: pip install mlflow-skinny")


class MlflowLog:
    """Sends a search's events to MLflow."""

    name = "MLflow"

    def __init__(self, uri: str, experiment: str) -> None:
        """Send to a tracking server or database; it is opened when the first trial starts.

        Args:
            uri: http(s)://… or sqlite:///…; MLflow 3.17 refuses plain folders.
            experiment: The experiment's name; one that exists goes on.
        """
        self._uri = uri
        self._experiment = experiment
        self._client: MlflowClient | None = None
        self._experiment_id = ""
        self._run_ids: dict[int, str] = {}
        self._tasks = BackgroundTasks()

    def trial_started(self, record: TrialRecord) -> None:
        """Begin an MLflow run, or find the one that goes on."""
        self._tasks.submit(self._start, record.number, record.baseline, record.config.to_dict())

    def epoch_ended(self, record: TrialRecord) -> None:
        """Send an epoch's scores."""
        epoch = record.epochs[-1]
        scores = {score: getattr(epoch, score) for score in SCORES}
        self._tasks.submit(self._log_scores, record.number, epoch.report, scores, time.time())

    def trial_ended(self, record: TrialRecord) -> None:
        """End the MLflow run."""
        self._tasks.submit(self._end, record.number, record.status)

    def close(self) -> None:
        """Wait until all is sent, at most CLOSE_SECONDS.

        Raises:
            TimeoutError: Not all was sent.
        """
        self._tasks.close(CLOSE_SECONDS)

    def abandon(self) -> None:
        """Send nothing more, and wait for nothing."""
        self._tasks.abandon()

    def _start(self, number: int, baseline: str, config: dict[str, Any]) -> None:
        client = self._connect()
        from mlflow.entities import Param

        known = client.search_runs(
            [self._experiment_id], f"tags.{NUMBER_TAG} = '{number}'", max_results=1
        )
        if known:
            self._run_ids[number] = known[0].info.run_id
            return
        tags = {NUMBER_TAG: str(number), BASELINE_TAG: baseline}
        run = client.create_run(self._experiment_id, run_name=f"trial {number}", tags=tags)
        self._run_ids[number] = run.info.run_id
        params = [Param(name, str(value)) for name, value in config.items()]
        client.log_batch(run.info.run_id, params=params)

    def _log_scores(
        self, number: int, report: int, scores: dict[str, float], seconds: float
    ) -> None:
        from mlflow.entities import Metric

        metrics = [
            Metric(name, value, int(seconds * 1_000), report) for name, value in scores.items()
        ]
        self._connect().log_batch(self._run_ids[number], metrics=metrics)

    def _end(self, number: int, status: Status) -> None:
        client = self._connect()
        client.set_tag(self._run_ids[number], STATUS_TAG, status.value)
        client.set_terminated(self._run_ids[number], _ENDS[status])

    def _connect(self) -> "MlflowClient":
        if self._client is None:
            # Nothing but the user's own server is to be told of the search.
            os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                from mlflow import MlflowClient

                logging.getLogger("mlflow").setLevel(logging.ERROR)  # it tells of new tables
                client = MlflowClient(tracking_uri=self._uri)
                known = client.get_experiment_by_name(self._experiment)
                self._experiment_id = (
                    known.experiment_id if known else client.create_experiment(self._experiment)
                )
                self._client = client
        return self._client
