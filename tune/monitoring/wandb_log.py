"""A search in Weights & Biases: one W&B group per run folder, one W&B run per trial.

    python -m tune.run … --tracker tune.monitoring.wandb_log:WandbLog

WANDB_PROJECT, WANDB_ENTITY and WANDB_MODE=offline set the destination, as usual in W&B. A trial
that resumes after an interruption continues its W&B run.
"""

import os
from typing import Any

from tune.monitoring.tracker import TrackedSearch, Tracker
from tune.records.trial import SCORES, Status, TrialRecord

SERVER_SECONDS = 20.0
"""Longest wait for W&B's server to start or end a run; the process's end waits as long."""
os.environ.setdefault("WANDB_SILENT", "true")

try:
    import wandb
except ImportError as error:
    raise ImportError("it needs Weights & Biases: pip install wandb") from error

_ENDED_WELL = (Status.COMPLETE, Status.PRUNED, Status.STOPPED)


class WandbLog(Tracker):
    """Sends a search's events to Weights & Biases."""

    def __init__(self, search: TrackedSearch) -> None:
        """Take a search; W&B's files go into the run folder."""
        self._search = search
        self._runs: dict[int, Any] = {}

    def trial_started(self, trial: TrialRecord) -> None:
        """Start a W&B run, or continue the trial's."""
        self._runs[trial.number] = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "char-lstm-tune"),
            group=self._search.name,
            name=f"{self._search.name}, trial {trial.number}",
            id=f"{self._search.search_id}-{trial.number}",
            config={**trial.config.to_dict(), "baseline": trial.baseline},
            dir=self._search.folder,
            resume="allow",
            reinit="create_new",  # several trials run at once
            settings=wandb.Settings(
                silent=True,
                console="off",
                init_timeout=SERVER_SECONDS,
                finish_timeout=SERVER_SECONDS,
            ),
        )

    def epoch_ended(self, trial: TrialRecord) -> None:
        """Send a report's scores."""
        epoch = trial.epochs[-1]
        scores = {score: getattr(epoch, score) for score in SCORES}
        self._runs[trial.number].log(scores, step=epoch.report)

    def trial_ended(self, trial: TrialRecord) -> None:
        """End the W&B run."""
        run = self._runs.pop(trial.number)
        run.summary["status"] = trial.status.value
        run.finish(exit_code=0 if trial.status in _ENDED_WELL else 1)

    def close(self) -> None:
        """End the W&B runs of trials that have not ended."""
        for run in self._runs.values():
            run.finish()
