"""Turns Ray Tune's events into trial records, and has them saved as they come."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import ray.tune as ray_tune
from ray.tune.experiment import Trial

from model.config import TrialConfig
from tune.outcome import RUNNING_BEST, Outcome
from tune.records import EpochRecord, Status, TrialRecord

_ENDED = {
    Outcome.FINISHED: Status.COMPLETE,
    Outcome.DIVERGED: Status.DIVERGED,
    Outcome.TRAINING: Status.PRUNED,  # it wanted to go on: ASHA stopped it
}


SAVE_SECONDS = 10.0
"""Between two trials' ends the records are saved at most so often."""


class Listener(Protocol):
    """Whoever shows the search's progress."""

    def trial_started(self, record: TrialRecord) -> None:
        """A trial began."""

    def epoch_ended(self, record: TrialRecord) -> None:
        """A trial reported an epoch."""

    def trial_ended(self, record: TrialRecord) -> None:
        """A trial ended; its status says how."""


class Recorder(ray_tune.Callback):
    """Keeps the records of all trials of a search.

    Attributes:
        records: Trial number to record.
        trials: Trial number to Ray's trial, for its checkpoint.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        save: Callable[[list[TrialRecord]], None],
        listener: Listener,
    ) -> None:
        """Record a search.

        Args:
            clock: Seconds since the search's start.
            save: Writes the records; called whenever a trial ends, and now and then between.
            listener: Told of every event.
        """
        self.records: dict[int, TrialRecord] = {}
        self.trials: dict[int, Trial] = {}
        self._clock = clock
        self._save = save
        self._listener = listener
        self._saved_seconds = 0.0

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Open a trial's record."""
        number = trial.config["number"]
        self.trials[number] = trial
        self.records[number] = TrialRecord(
            number=number,
            config=TrialConfig.from_dict(trial.config["config"]),
            baseline=trial.config["baseline"],
            search_seconds=self._clock(),
        )
        self._listener.trial_started(self.records[number])

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Trial],
        trial: Trial,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        """Record an epoch, or why the trial diverged."""
        record = self.records[trial.config["number"]]
        record.search_seconds = self._clock()
        if RUNNING_BEST not in result:
            record.error = result["error"]
            return
        record.precision = result["precision"]
        record.num_parameters = result["num_parameters"]
        record.vocabulary_size = result["vocabulary_size"]
        record.epochs.append(
            EpochRecord(
                trial_id=record.trial_id,
                number=record.number,
                epoch=result["epoch"],
                train_nats_per_char=result["train_nats_per_char"],
                val_nats_per_char=result["val_nats_per_char"],
                val_own_bits_per_char=result["val_own_bits_per_char"],
                val_bits_per_char=result["val_bits_per_char"],
                elapsed_seconds=result["elapsed_seconds"],
                search_seconds=record.search_seconds,
            )
        )
        if record.search_seconds - self._saved_seconds > SAVE_SECONDS:
            self._save_all()
        self._listener.epoch_ended(record)

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Close the record of a trial that ended by itself or by ASHA."""
        outcome = Outcome(trial.last_result["outcome"])
        self._end(self.records[trial.config["number"]], _ENDED[outcome])

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Close the record of a trial that raised, or whose process died."""
        record = self.records.get(trial.config["number"])
        if record is None:  # it died before it started
            self.on_trial_start(iteration, trials, trial)
            record = self.records[trial.config["number"]]
        record.error = _reason(trial)
        self._end(record, Status.FAILED)

    def stop_running(self) -> None:
        """Close the records of trials that the end of the search cut off."""
        for record in self.records.values():
            if record.status == Status.RUNNING:
                self._end(record, Status.STOPPED)

    def __getstate__(self) -> dict[str, Any]:
        """Ray pickles its callbacks into its experiment state, which we never read back."""
        return {}

    def _end(self, record: TrialRecord, status: Status) -> None:
        record.status = status
        record.search_seconds = self._clock()
        self._save_all()
        self._listener.trial_ended(record)

    def _save_all(self) -> None:
        self._saved_seconds = self._clock()
        self._save(list(self.records.values()))


def _reason(trial: Trial) -> str:
    """Return the last line of what a failed trial raised."""
    # The local copy: Ray uploads it to the storage only after this callback.
    path = trial.error_file
    text = Path(path).read_text(encoding="utf-8") if path and Path(path).exists() else ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "its worker died without a word"
