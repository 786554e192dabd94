"""Tells other programs of a search's trials: TensorBoard's files always, MLflow where asked.

One that fails is disabled, with one line, and the search goes on.
"""

from contextlib import AbstractContextManager
from typing import Protocol

from rich.console import Console

from model.system.secrets import redacted
from model.system.terminal import say
from search_spaces import SearchSpace
from tune.monitoring.mlflow_log import MlflowLog
from tune.monitoring.progress import Progress
from tune.monitoring.tensorboard_log import TensorBoardLog
from tune.records.run_folder import RunFolder
from tune.records.trial import TrialRecord


class Tracker(Protocol):
    """A receiver of trials' events."""

    name: str

    def trial_started(self, record: TrialRecord) -> None:
        """A trial began, or goes on."""

    def epoch_ended(self, record: TrialRecord) -> None:
        """A trial reported an epoch."""

    def trial_ended(self, record: TrialRecord) -> None:
        """A trial ended; its status says how."""

    def close(self) -> None:
        """The search is over."""

    def abandon(self) -> None:
        """It failed: it receives no more, and nothing waits for it."""


class Trackers(AbstractContextManager["Trackers"]):
    """All trackers of a search, as one listener; a context manager."""

    def __init__(
        self,
        progress: Progress,
        space: SearchSpace,
        folder: RunFolder,
        console: Console,
        *,
        mlflow: str | None,
    ) -> None:
        """Open them.

        Args:
            progress: The display, which is told first.
            space: What is searched.
            folder: The run folder.
            console: Where the one line goes if one fails.
            mlflow: URI of an MLflow server or database that is told too; None is none.
        """
        self._console = console
        self._progress = progress
        self._trackers: list[Tracker] = [TensorBoardLog(folder.tensorboard_folder, space)]
        if mlflow is not None:
            self._trackers.append(MlflowLog(mlflow, folder.path.name))

    def __exit__(self, *_: object) -> None:
        self._notify("close")

    def trial_started(self, record: TrialRecord) -> None:
        """Tell that a trial began, or goes on."""
        self._progress.trial_started(record)
        self._notify("trial_started", record)

    def epoch_ended(self, record: TrialRecord) -> None:
        """Tell that a trial reported an epoch."""
        self._progress.epoch_ended(record)
        self._notify("epoch_ended", record)

    def trial_recovered(self, record: TrialRecord, reason: str) -> None:
        """Show that a trial lost its worker and goes on; trackers see no difference."""
        self._progress.trial_recovered(record, reason)

    def trial_ended(self, record: TrialRecord) -> None:
        """Tell that a trial ended."""
        self._progress.trial_ended(record)
        self._notify("trial_ended", record)

    def _notify(self, event: str, *values: TrialRecord) -> None:
        for tracker in list(self._trackers):
            try:
                getattr(tracker, event)(*values)
            except Exception as error:  # of another program, its server or a full disk
                self._trackers.remove(tracker)
                tracker.abandon()
                reason = redacted(" ".join(str(error).split())) or type(error).__name__
                say(
                    self._console,
                    f"{tracker.name} failed and is disabled for this search: {reason}",
                )
