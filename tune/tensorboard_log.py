"""A run as TensorBoard reads it: one folder a trial, written as epochs come.

    tensorboard --logdir results/ten/tensorboard

Only trials that run have an open file and a writing thread. Measured on 2 cores: see LOG.md.
"""

from pathlib import Path

from tensorboardX import SummaryWriter
from tensorboardX.summary import hparams

from search_spaces import SearchSpace
from tune.trial_record import TrialRecord

SCORES = (
    *("val_bits_per_char", "val_own_bits_per_char"),
    *("val_nats_per_char", "train_nats_per_char"),
)
FLUSH_SECONDS = 10


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
        self._writers: dict[int, SummaryWriter] = {}

    def trial_started(self, record: TrialRecord) -> None:
        """Do nothing: a trial without an epoch leaves no file."""

    def epoch_ended(self, record: TrialRecord) -> None:
        """Append an epoch to the trial's curves; one that is trained again replaces the old."""
        epoch = record.epochs[-1]
        writer = self._writers.get(record.number)
        if writer is None:
            writer = SummaryWriter(
                str(self._folder / record.trial_id),
                flush_secs=FLUSH_SECONDS,
                purge_step=epoch.epoch,
                write_to_disk=True,
            )
            self._writers[record.number] = writer
        for score in SCORES:
            writer.add_scalar(score, getattr(epoch, score), epoch.epoch)

    def trial_ended(self, record: TrialRecord) -> None:
        """Add the trial's row of the HParams table and close its file."""
        writer = self._writers.pop(record.number, None)
        if writer is None:
            return
        values = record.config.to_dict()
        metrics = {"val_bits_per_char": record.objective, "epochs_run": len(record.epochs)}
        summaries = hparams({axis: values[axis] for axis in self._axes}, metrics)
        for summary in summaries:
            writer.file_writer.add_summary(summary)
        writer.close()

    def close(self) -> None:
        """Close the files of the trials that did not end."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()
