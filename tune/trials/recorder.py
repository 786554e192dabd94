"""Turns Ray Tune's events into the search's history, and has the tables saved meanwhile."""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import ray.tune as ray_tune
from ray.tune.experiment import Trial

from model.system.files import unwritable
from tune.records.history import History, TrialEnded, TrialStarted
from tune.records.trial import ORDER, RUNNING_BEST, Outcome, Status, TrialRecord
from tune.storage.checkpoints import drop_older
from tune.trials.driver_only import DriverOnly
from tune.trials.epoch_reports import epoch_ended
from tune.trials.stopper import SearchStopper

_ENDED = {
    Outcome.FINISHED: Status.COMPLETE,
    Outcome.DIVERGED: Status.DIVERGED,
    Outcome.TRAINING: Status.PRUNED,  # it wanted to go on: ASHA stopped it
}
MAX_DEATHS = 3
"""Deaths of its workers, without a report in between, that a trial survives."""
SAVE_SECONDS = 10.0
"""Shortest interval between writes of the tables while no trial ends, seconds."""


class Listener(Protocol):
    """A receiver of the search's events."""

    def trial_started(self, record: TrialRecord) -> None:
        """A trial began."""

    def epoch_ended(self, record: TrialRecord) -> None:
        """A trial reported an epoch."""

    def trial_recovered(self, record: TrialRecord, reason: str) -> None:
        """A trial lost its worker and continues."""

    def trial_ended(self, record: TrialRecord) -> None:
        """A trial ended; its status says how."""


class Recorder(DriverOnly, ray_tune.Callback):
    """Writes the history of a search; Ray 2.60 passes all arguments to callbacks by name."""

    def __init__(
        self,
        history: History,
        stopper: SearchStopper,
        *,
        save: Callable[[Iterable[TrialRecord]], None],
        listeners: Sequence[Listener],
        failed: Callable[[str, str], None] = lambda trial_id, reason: None,
        added: Callable[[int, str], None] = lambda number, order_id: None,
        ends: Callable[[int, Status], None] = lambda number, status: None,
    ) -> None:
        """Record a search.

        Args:
            history: What is known so far; events are added to it.
            stopper: Has the search's clock, knows which trials it cut off, and ends the search if
                a trial cannot write to the storage.
            save: Writes the tables; called when trials end, and now and then in between.
            listeners: Receive every event, one after the other.
            failed: Called with Ray's id of a trial that failed, and the reason.
            added: Called with a started trial's number and the order that added it.
            ends: Called with a trial's number and status before its end is recorded.
        """
        self._history = history
        self._stopper = stopper
        self._save = save
        self._listeners = listeners
        self._failed, self._added, self._ends = failed, added, ends
        self._reasons: dict[str, str] = {}
        # Ray's id of a running trial to its latest report.
        self._last_reports: dict[str, int] = {}
        self._saved_seconds = stopper.seconds()

    def on_trial_start(self, *, trial: Trial, **_: Any) -> None:
        """Open or reopen a trial's record."""
        event = TrialStarted(
            number=trial.config["number"],
            config=trial.config["config"],
            baseline=trial.config["baseline"],
            generation=trial.config.get("generation"),
            search_seconds=self._stopper.seconds(),
            order_id=trial.config.get(ORDER, ""),
        )
        record = self._history.add(event)
        for listener in self._listeners:
            listener.trial_started(record)
        if ORDER in trial.config:
            self._added(event.number, trial.config[ORDER])

    def on_trial_result(self, *, trial: Trial, result: dict[str, Any], **_: Any) -> None:
        """Record a report; that of a failed or diverged trial has no figures."""
        if result.get("outcome") == Outcome.FAILED:
            self.will_fail(trial, result["error"])
        elif self._reasons.pop(trial.trial_id, None) is not None:
            # It was not stuck: the death of its killed worker is like any other.
            trial.max_failures = trial.num_failures + MAX_DEATHS
        if RUNNING_BEST not in result:
            return
        # Only consecutive deaths count, so a long trial survives any number of vanished nodes. A
        # repeated report does not separate deaths: saving it may be what kills a worker.
        if result["report"] > self._last_reports.get(trial.trial_id, 0):
            self._last_reports[trial.trial_id] = result["report"]
            trial.max_failures = trial.num_failures + MAX_DEATHS
        event = epoch_ended(trial.config["number"], result, self._stopper.seconds())
        record = self._history.add(event)
        self._save_after(SAVE_SECONDS)
        for listener in self._listeners:
            listener.epoch_ended(record)

    def on_trial_complete(self, *, trial: Trial, **_: Any) -> None:
        """Close the record of a trial that finished, or that ASHA or the time budget ended."""
        forget_statistics(trial)
        if self._stopper.has_cut_off(trial.trial_id):
            had_its_time = self._stopper.has_used_its_time(trial.trial_id)
            self._end(trial.config["number"], Status.STOPPED, "", had_its_time=had_its_time)
            return
        outcome = Outcome(trial.last_result["outcome"])
        error = trial.last_result.get("error", "")
        self._last_reports.pop(trial.trial_id, None)
        self._end(trial.config["number"], _ENDED[outcome], error)
        drop_older(trial.storage.storage_filesystem, trial.storage.trial_fs_path)

    def on_trial_recover(self, *, trial: Trial, **_: Any) -> None:
        """Tell the listeners that a trial needs another worker, and why."""
        reason, number = _reason(trial), trial.config["number"]
        # If its first worker died at the start, there is no record and nothing to continue from.
        if not self._end_if_disk_failed(trial, reason) and number in self._history.records:
            for listener in self._listeners:
                listener.trial_recovered(self._history.records[number], reason)

    def on_trial_error(self, *, trial: Trial, **_: Any) -> None:
        """Close the record of a trial that raised, or whose processes died.

        If a disk failed, the trial stays open, so that `--resume` can continue it.
        """
        number = trial.config["number"]
        if number not in self._history.records:  # it died before it started
            self.on_trial_start(trial=trial)
        reason = self._reasons.pop(trial.trial_id, None) or _reason(trial)
        if self._end_if_disk_failed(trial, reason):
            return
        self._last_reports.pop(trial.trial_id, None)
        forget_statistics(trial)
        self._failed(trial.trial_id, reason)
        self._end(number, Status.FAILED, reason)

    def will_fail(self, trial: Trial, reason: str) -> None:
        """Keep Ray from giving a trial another worker when it fails now.

        Args:
            trial: The trial.
            reason: Why it fails, in one line.
        """
        trial.max_failures = 0
        self._reasons[trial.trial_id] = reason

    def _end_if_disk_failed(self, trial: Trial, reason: str) -> bool:
        """End the search, naming the disk, if one accepted no checkpoint; return whether it did.

        It is the storage or the node's own disk, where a worker first writes each checkpoint.
        """
        if unwritable(reason) is None:
            return False
        # Our own errors name the file; those of pyarrow, which copies to the storage, do not.
        path = "" if re.search(r"[ ']/", reason) else f", {trial.storage.trial_fs_path}"
        self._stopper.unwritable = f"{reason} (node {_node(trial)}{path})"
        return True

    def stop_running(self) -> None:
        """Close the records of trials that the search's end cut off."""
        for record in list(self._history.records.values()):
            if record.status == Status.RUNNING:
                self._end(record.number, Status.STOPPED, "")

    def _end(self, number: int, status: Status, error: str, *, had_its_time: bool = False) -> None:
        self._ends(number, status)
        event = TrialEnded(
            number=number,
            status=status,
            error=error,
            search_seconds=self._stopper.seconds(),
            has_had_its_time=had_its_time,
        )
        record = self._history.add(event)
        self._save_after(0.0)
        for listener in self._listeners:
            listener.trial_ended(record)

    def _save_after(self, seconds: float) -> None:
        """Save the tables if they were last saved at least that many seconds ago."""
        if self._stopper.seconds() - self._saved_seconds >= seconds:
            self._save(self._history.records.values())
            self._saved_seconds = self._stopper.seconds()


def forget_statistics(trial: Trial) -> None:
    """Free the statistics (minima, means, deques) that Ray 2.60 keeps of a trial's metrics.

    Nobody reads them, and they are 37 of the 41 kB of driver memory that an ended trial takes.
    """
    trial.run_metadata.metric_analysis, trial.run_metadata.metric_n_steps = {}, {}


def _error_text(trial: Trial) -> str:
    """Return the text of all errors that a trial raised."""
    # The local file: Ray uploads it to the storage only after this callback.
    path = trial.error_file
    return Path(path).read_text(encoding="utf-8") if path and Path(path).exists() else ""


def _node(trial: Trial) -> str:
    """Return the address of the node where a trial failed, as Ray 2.60 writes it."""
    found = re.findall(r"\(pid=\d+, ip=([^,)]+)", _error_text(trial))
    return str(found[-1]) if found else "unknown"


def _reason(trial: Trial) -> str:
    """Return the last line of what a trial raised when it failed last."""
    # Ray 2.60 appends: an earlier worker may have died of something else.
    text = _error_text(trial).rpartition("Failure # ")[2]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last = lines[-1] if lines else "its worker died without an error message"
    if "node running low on memory" in text:  # Ray's memory monitor, verbosely
        last = "the node ran low on memory, and Ray killed its worker"
    died = trial.num_failures
    return last if died <= 1 else f"lost {died} workers; the last error: {last}"
