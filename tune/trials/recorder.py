"""Turns Ray Tune's events into the search's history, and has the tables saved as they come."""

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
"""Deaths of its workers, without an epoch between them, after which a trial still goes on."""
SAVE_SECONDS = 10.0
"""Shortest time between two writings of the tables while no trial ends, seconds."""


class Listener(Protocol):
    """A receiver of the search's events."""

    def trial_started(self, record: TrialRecord) -> None:
        """A trial began."""

    def epoch_ended(self, record: TrialRecord) -> None:
        """A trial reported an epoch."""

    def trial_recovered(self, record: TrialRecord, reason: str) -> None:
        """A trial lost its worker and goes on."""

    def trial_ended(self, record: TrialRecord) -> None:
        """A trial ended; its status says how."""


class Recorder(DriverOnly, ray_tune.Callback):
    """Writes the history of a search; Ray 2.60 names all that it passes to a callback."""

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
            history: What is known already, and where events go.
            stopper: Has the search's clock, knows what it cut off, and ends the search where a
                trial cannot write to the storage.
            save: Has the tables written; called when trials end, and now and then between.
            listeners: Receive every event, one after the other.
            failed: Called with Ray's id of a trial that failed, and the reason.
            added: Called with a started trial's number and the order that it is of.
            ends: Called with a trial's number and status before its end is recorded.
        """
        self._history = history
        self._stopper = stopper
        self._save = save
        self._listeners = listeners
        self._failed, self._added, self._ends = failed, added, ends
        self._reasons: dict[str, str] = {}
        # Ray's id to the furthest report of a running trial.
        self._last_reports: dict[str, int] = {}
        self._saved_seconds = stopper.seconds()

    def on_trial_start(self, *, trial: Trial, **_: Any) -> None:
        """Open a trial's record, or open it again."""
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
        """Record a report; one that went wrong has no figures."""
        if result.get("outcome") == Outcome.FAILED:
            self.will_fail(trial, result["error"])
        elif self._reasons.pop(trial.trial_id, None) is not None:
            # It was not stuck: what its killed worker dies of now is a death as any other.
            trial.max_failures = trial.num_failures + MAX_DEATHS
        if RUNNING_BEST not in result:
            return
        # Only deaths in a row count: a long trial outlives any number of nodes that vanish. A
        # report that comes again is none between: it may be its saving that kills a worker.
        if result["report"] > self._last_reports.get(trial.trial_id, 0):
            self._last_reports[trial.trial_id] = result["report"]
            trial.max_failures = trial.num_failures + MAX_DEATHS
        event = epoch_ended(trial.config["number"], result, self._stopper.seconds())
        record = self._history.add(event)
        self._save_after(SAVE_SECONDS)
        for listener in self._listeners:
            listener.epoch_ended(record)

    def on_trial_complete(self, *, trial: Trial, **_: Any) -> None:
        """Close the record of a trial that ended by itself, by ASHA or for want of time."""
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
        """Tell that a trial needs another worker, and why."""
        reason, number = _reason(trial), trial.config["number"]
        # One whose first worker died while it started has no record, and nothing to go on from.
        if not self._look_at_disk(trial, reason) and number in self._history.records:
            for listener in self._listeners:
                listener.trial_recovered(self._history.records[number], reason)

    def on_trial_error(self, *, trial: Trial, **_: Any) -> None:
        """Close the record of a trial that raised, or whose processes died.

        Where a disk is what failed, the trial stays open: it goes on with `--resume`.
        """
        number = trial.config["number"]
        if number not in self._history.records:  # it died before it started
            self.on_trial_start(trial=trial)
        reason = self._reasons.pop(trial.trial_id, None) or _reason(trial)
        if self._look_at_disk(trial, reason):
            return
        self._last_reports.pop(trial.trial_id, None)
        forget_statistics(trial)
        self._failed(trial.trial_id, reason)
        self._end(number, Status.FAILED, reason)

    def will_fail(self, trial: Trial, reason: str) -> None:
        """Have Ray give a trial no other worker when it fails now.

        Args:
            trial: The trial.
            reason: Why it fails, in one line.
        """
        trial.max_failures = 0
        self._reasons[trial.trial_id] = reason

    def _look_at_disk(self, trial: Trial, reason: str) -> bool:
        """Return whether a disk took no checkpoint; that ends the search, and tells which it is.

        It is the storage, or the node's own: a worker writes each checkpoint there first.
        """
        if unwritable(reason) is None:
            return False
        # Errors of our own files name them; those of pyarrow, which copies to the storage, do not.
        path = "" if re.search(r"[ ']/", reason) else f", {trial.storage.trial_fs_path}"
        self._stopper.unwritable = f"{reason} (node {_node(trial)}{path})"
        return True

    def stop_running(self) -> None:
        """Close the records of trials that the end of the search cut off."""
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
        """Save the tables if the last time lies that many seconds back."""
        if self._stopper.seconds() - self._saved_seconds >= seconds:
            self._save(self._history.records.values())
            self._saved_seconds = self._stopper.seconds()


def forget_statistics(trial: Trial) -> None:
    """Free what Ray 2.60 keeps of each metric of a trial, for nobody here: minima, means, deques.

    It is most of what an ended trial takes of the driver's memory: 37 of 41 kB.
    """
    trial.run_metadata.metric_analysis, trial.run_metadata.metric_n_steps = {}, {}


def _error_text(trial: Trial) -> str:
    """Return what a trial raised, all its failures one after the other."""
    # The local copy: Ray uploads it to the storage only after this callback.
    path = trial.error_file
    return Path(path).read_text(encoding="utf-8") if path and Path(path).exists() else ""


def _node(trial: Trial) -> str:
    """Return the address of the node that a trial failed on, as Ray 2.60 writes it."""
    found = re.findall(r"\(pid=\d+, ip=([^,)]+)", _error_text(trial))
    return str(found[-1]) if found else "unknown"


def _reason(trial: Trial) -> str:
    """Return the last line of what a failed trial raised."""
    text = _error_text(trial)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last = lines[-1] if lines else "its worker died without an error message"
    if "node running low on memory" in text:  # Ray's memory monitor, at length
        last = "the node ran low on memory, and Ray killed its worker"
    died = trial.num_failures
    return last if died <= 1 else f"lost {died} workers; the last error: {last}"
