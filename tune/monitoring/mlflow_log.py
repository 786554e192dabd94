"""A search in MLflow: one experiment per run folder, one MLflow run per trial.

A trial that resumes after an interruption continues its MLflow run.
"""

import importlib.util
import logging
import os
import time
import warnings

from model.errors import ConfigError
from tune.monitoring.tracker import TrackedSearch, Tracker
from tune.records.trial import SCORES, Status, TrialRecord

NUMBER_TAG, BASELINE_TAG, STATUS_TAG = "trial_number", "baseline", "status"
SEARCH_TAG = "search_id"
"""Searches of one name share an experiment."""
_ENDS = {
    Status.COMPLETE: "FINISHED",
    Status.PRUNED: "FINISHED",
    Status.STOPPED: "KILLED",
    Status.DIVERGED: "FAILED",
    Status.FAILED: "FAILED",
}


def check_mlflow(uri: str) -> None:
    """Refuse a tracking URI if MLflow is not installed.

    Raises:
        ConfigError: MLflow is not installed, or the URI is empty.
    """
    if not uri:
        raise ConfigError("--mlflow needs a tracking URI: http://host:5000 or sqlite:///mlflow.db")
    if importlib.util.find_spec("mlflow") is None:
        raise ConfigError("--mlflow needs MLflow: pip install mlflow-skinny")


class MlflowLog(Tracker):
    """Sends a search's events to MLflow."""

    def __init__(self, search: TrackedSearch, *, uri: str) -> None:
        """Open a tracking server or database.

        Args:
            search: Its name is the experiment's; an existing experiment is continued.
            uri: http(s)://… or sqlite:///…; MLflow 3.17 refuses plain folders.
        """
        # Only the user's own server should hear of the search.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from mlflow import MlflowClient

            logging.getLogger("mlflow").setLevel(logging.ERROR)  # it reports new tables
            self._client = MlflowClient(tracking_uri=uri)
            known = self._client.get_experiment_by_name(search.name)
            self._experiment_id = (
                known.experiment_id if known else self._client.create_experiment(search.name)
            )
        self._search_id = search.search_id
        self._run_ids: dict[int, str] = {}

    def trial_started(self, trial: TrialRecord) -> None:
        """Start an MLflow run, or find the one to continue."""
        from mlflow.entities import Param

        number = str(trial.number)
        tags = {SEARCH_TAG: self._search_id, NUMBER_TAG: number}
        its = " and ".join(f"tags.{tag} = '{value}'" for tag, value in tags.items())
        known = self._client.search_runs([self._experiment_id], its, max_results=1)
        if known:
            self._run_ids[trial.number] = known[0].info.run_id
            self._client.update_run(known[0].info.run_id, status="RUNNING")
            return
        tags[BASELINE_TAG] = trial.baseline
        run = self._client.create_run(self._experiment_id, run_name=f"trial {number}", tags=tags)
        self._run_ids[trial.number] = run.info.run_id
        params = [Param(name, str(value)) for name, value in trial.config.to_dict().items()]
        self._client.log_batch(run.info.run_id, params=params)

    def epoch_ended(self, trial: TrialRecord) -> None:
        """Send a report's scores."""
        from mlflow.entities import Metric

        epoch, now = trial.epochs[-1], int(time.time() * 1_000)
        metrics = [Metric(score, getattr(epoch, score), now, epoch.report) for score in SCORES]
        self._client.log_batch(self._run_ids[trial.number], metrics=metrics)

    def trial_ended(self, trial: TrialRecord) -> None:
        """End the MLflow run."""
        run_id = self._run_ids[trial.number]
        self._client.set_tag(run_id, STATUS_TAG, trial.status.value)
        self._client.set_terminated(run_id, _ENDS[trial.status])
