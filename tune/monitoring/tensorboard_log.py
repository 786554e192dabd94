"""A run for TensorBoard: one folder per trial, written as reports come.

    tensorboard --logdir results/ten/tensorboard

Only running trials have an open file. Events are written with parts of tensorboardX: the thread
of its SummaryWriter (2.6) dies of a full disk, with a traceback, and then the caller waits for
ever. Measured on 2 cores: see LOG.md.
"""

import time
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.summary import hparams, scalar

from tune.monitoring.tracker import TrackedSearch, Tracker
from tune.records.run_folder import RunFolder
from tune.records.trial import SCORES, TrialRecord

FLUSH_SECONDS = 10.0


class TensorBoardLog(Tracker):
    """Writes event files: a curve for each score, and a row of the HParams table."""

    def __init__(self, search: TrackedSearch) -> None:
        """Write to the run's folder; the space's axes are the columns of the HParams table."""
        self._folder = RunFolder(search.folder).tensorboard_folder
        self._axes = search.space.axes
        self._files: dict[int, _EventFile] = {}

    def epoch_ended(self, trial: TrialRecord) -> None:
        """Append a report to the trial's curves; a repeated one replaces the first."""
        epoch = trial.epochs[-1]
        file = self._files.get(trial.number)
        if file is None:
            file = _EventFile(self._folder / trial.trial_id, first_step=epoch.report)
            self._files[trial.number] = file
        for score in SCORES:
            file.add(scalar(score, getattr(epoch, score)), step=epoch.report)
        file.flush_now_and_then()

    def trial_ended(self, trial: TrialRecord) -> None:
        """Add the trial's row to the HParams table and close its file, if it has reported."""
        file = self._files.pop(trial.number, None)
        if file is None:
            return
        values = trial.config.to_dict()
        metrics = {"val_bits_per_char": trial.objective, "epochs_run": trial.epochs_run}
        for summary in hparams({axis: values[axis] for axis in self._axes}, metrics):
            file.add(summary)
        file.close()

    def close(self) -> None:
        """Close the files of the trials that did not end."""
        for file in self._files.values():
            file.close()


class _EventFile:
    """One trial's events, in the order in which they come."""

    def __init__(self, folder: Path, *, first_step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # The name has whole seconds; within one, a trial may stop at a rung and be promoted.
        self._writer = EventsWriter(str(folder / "events"), filename_suffix=f".{first_step}")
        self._flushed_seconds = time.monotonic()
        # Voids what the trial's earlier files have from this step on.
        start = SessionLog(status=SessionLog.START)
        self._write(Event(step=first_step, session_log=start))

    def add(self, summary: Summary, *, step: int = 0) -> None:
        self._write(Event(step=step, summary=summary))

    def flush_now_and_then(self) -> None:
        if time.monotonic() > self._flushed_seconds + FLUSH_SECONDS:
            self._writer.flush()
            self._flushed_seconds = time.monotonic()

    def close(self) -> None:
        self._writer.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._writer.write_event(event)
