"""A run as TensorBoard reads it: one folder a trial, written as epochs come.

    tensorboard --logdir results/ten/tensorboard

Only trials that run have an open file. Events are written by the caller's own thread, with
tensorboardX's parts: its SummaryWriter (2.6) has a thread that dies of a full disk, with a
traceback, and then lets the caller wait for ever. Measured on 2 cores: see LOG.md.
"""

import time
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.summary import hparams, scalar

from search_spaces import SearchSpace
from tune.records.trial import SCORES, TrialRecord

FLUSH_SECONDS = 10.0


class TensorBoardLog:
    """Writes event files: a curve for each score, and a row of the HParams table."""

    name = "TensorBoard"

    def __init__(self, folder: Path, space: SearchSpace) -> None:
        """Write into a folder, one folder a trial.

        Args:
            folder: It is made when the first epoch comes.
            space: What is searched; its axes are the columns of the HParams table.
        """
        self._folder = folder
        self._axes = space.axes
        self._files: dict[int, _EventFile] = {}

    def trial_started(self, record: TrialRecord) -> None:
        """Do nothing: a trial without an epoch leaves no file."""

    def epoch_ended(self, record: TrialRecord) -> None:
        """Append an epoch to the trial's curves; one that is trained again replaces the old."""
        epoch = record.epochs[-1]
        file = self._files.get(record.number)
        if file is None:
            file = _EventFile(self._folder / record.trial_id, first_step=epoch.report)
            self._files[record.number] = file
        for score in SCORES:
            file.add(scalar(score, getattr(epoch, score)), step=epoch.report)
        file.flush_now_and_then()

    def trial_ended(self, record: TrialRecord) -> None:
        """Add the trial's row of the HParams table and close its file."""
        file = self._files.pop(record.number, None)
        if file is None:
            return
        values = record.config.to_dict()
        metrics = {"val_bits_per_char": record.objective, "epochs_run": record.epochs_run}
        for summary in hparams({axis: values[axis] for axis in self._axes}, metrics):
            file.add(summary)
        file.close()

    def close(self) -> None:
        """Close the files of the trials that did not end."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def abandon(self) -> None:
        """Leave the files as they are: their disk is full, or gone."""
        self._files.clear()


class _EventFile:
    """One trial's events, in the order in which they come."""

    def __init__(self, folder: Path, *, first_step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._writer = EventsWriter(str(folder / "events"))
        self._flushed_seconds = time.monotonic()
        # What an earlier file of the trial has from this step on is void.
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
