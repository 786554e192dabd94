"""Records of a trial and of its epochs, from which the tables are made."""

import dataclasses
import enum
import itertools
import math
import operator
from collections.abc import Iterable
from typing import Any

from model.config import FIELD_NAMES, TrialConfig
from model.training.epoch_report import EpochReport

SCORES = (
    *("val_bits_per_char", "val_own_bits_per_char"),
    *("val_nats_per_char", "train_nats_per_char"),
)
"""Scores of an epoch; a trial's row has those of its best epoch."""
RUNNING_BEST = "running_best_bits_per_char"
"""Report key: the trial's lowest val_bits_per_char so far, which ASHA and Optuna use."""
PEAK_MEMORY, ESTIMATED_MEMORY = "peak_memory_bytes", "estimated_memory_bytes"
"""Report keys: peak memory of the trial's process so far, and its estimate."""
MEMORY_EXCESS = "memory_excess_bytes"
"""Proposal key: by how many bytes trials have exceeded their estimate."""


ORDER = "order"
"""Proposal key: id of the order that added the trial."""


class Status(enum.StrEnum):
    """How a trial ended."""

    RUNNING = "RUNNING"
    """Not ended yet."""
    COMPLETE = "COMPLETE"
    """All its epochs were trained, or its patience was exhausted."""
    PRUNED = "PRUNED"
    """Stopped by ASHA at a rung."""
    STOPPED = "STOPPED"
    """Cut off by the time budget, by Ctrl-C, by hand, or as a baseline that used its time."""
    DIVERGED = "DIVERGED"
    """Its loss became NaN or infinite."""
    FAILED = "FAILED"
    """It raised an error, or its process died."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EpochRecord(EpochReport):
    """One report of one trial; the fields are the columns of epochs.csv."""

    trial_id: str
    number: int
    search_seconds: float

    def check_of(self, config: TrialConfig) -> None:
        """Refuse a report that no training of the configuration could give.

        Raises:
            ValueError: The rule that it breaks.
        """
        if not 1 <= self.report <= config.num_reports:
            raise ValueError(f"a report must be 1 to {config.num_reports}, got {self.report}")
        expected = config.epochs_at(self.report)
        if not math.isclose(self.epoch, expected, rel_tol=1e-6):
            raise ValueError(
                f"report {self.report} must come after {expected:g} epochs, got {self.epoch:g}"
            )


@dataclasses.dataclass(kw_only=True, slots=True)
class TrialRecord:
    """A trial so far.

    Attributes:
        number: Counts trials from 0, in order of proposal.
        config: Its configuration.
        baseline: Name of the baseline it is, or empty.
        generation: Generation of CMA-ES that it was drawn in; None with other samplers.
        order_id: Id of the order that it was added by, or empty.
        status: How it ended.
        precision: The arithmetic it ran in, empty before the first epoch.
        kernel: What computed its LSTM, empty as above.
        num_parameters: Trained numbers of its network, None before the first epoch.
        vocabulary_size: Symbols of its cleaned text, None before the first epoch.
        milliseconds_per_char: Time to write a raw character of text, None if it was not measured.
        peak_memory_bytes: The most that its process held, None if unknown.
        estimated_memory_bytes: What was expected of it.
        search_seconds: Seconds from the search's start to the trial's end so far.
        started_seconds: The same to its latest start; it may have continued from a rung.
        error: Why it failed or diverged, or empty.
        is_stopped_by_hand: Whether a user stopped it, for good.
        has_had_its_time: Whether it is a baseline that was cut off when its part of the time was
            used; unknown in runs from before 2026-11-29.
        epochs: Its reports, in order; `add_epoch` adds one.
        best: The report with the lowest objective, the earliest of equals; None before the first.
    """

    number: int
    config: TrialConfig
    baseline: str = ""
    generation: int | None = None
    order_id: str = ""
    status: Status = Status.RUNNING
    precision: str = ""
    kernel: str = ""
    num_parameters: int | None = None
    vocabulary_size: int | None = None
    milliseconds_per_char: float | None = None
    peak_memory_bytes: int | None = None
    estimated_memory_bytes: int | None = None
    search_seconds: float = 0.0
    started_seconds: float = 0.0
    error: str = ""
    is_stopped_by_hand: bool = False
    has_had_its_time: bool = False
    epochs: list[EpochRecord] = dataclasses.field(default_factory=list)
    best: EpochRecord | None = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.best = self._lowest()

    @property
    def trial_id(self) -> str:
        """The name of the trial's folder, the same in every run of the same seed."""
        return trial_id(self.number)

    def add_epoch(self, epoch: EpochRecord) -> None:
        """Add a report; a repeated one replaces the earlier one and all after it."""
        if self.epochs and self.epochs[-1].report >= epoch.report:
            self.epochs = [known for known in self.epochs if known.report < epoch.report]
            self.best = self._lowest()
        self.epochs.append(epoch)
        if self.best is None or epoch.val_bits_per_char < self.best.val_bits_per_char:
            self.best = epoch

    def copy(self) -> "TrialRecord":
        """Return a copy that does not change with this record."""
        return dataclasses.replace(self, epochs=list(self.epochs))

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing more to train; a trial stopped by the clock can continue."""
        if self.is_stopped_by_hand and self.status is Status.STOPPED:
            return True
        return self.status not in (Status.RUNNING, Status.STOPPED)

    @property
    def is_done(self) -> bool:
        """Whether it has ended, or is a baseline that has used its part of the time.

        A resumed search with more time may continue such a baseline.
        """
        return self.has_ended or (self.status is Status.STOPPED and self.has_had_its_time)

    @property
    def objective(self) -> float:
        """The lowest objective of its epochs; infinity without one."""
        return self.best.val_bits_per_char if self.best else float("inf")

    @property
    def epoch_seconds(self) -> float:
        """Mean seconds of an epoch; there must be a report."""
        last = self.epochs[-1]
        return last.elapsed_seconds / last.epoch

    @property
    def report_seconds(self) -> float:
        """Mean seconds between two reports; there must be one."""
        return self.epoch_seconds / self.config.reports_per_epoch

    @property
    def epochs_run(self) -> float:
        """Passes over the training text so far; a whole number is an int."""
        return self.epochs[-1].epoch if self.epochs else 0

    def _lowest(self) -> EpochRecord | None:
        return min(self.epochs, key=lambda epoch: epoch.val_bits_per_char, default=None)

    def running_best(self) -> dict[int, float]:
        """Return the lowest objective up to each report."""
        values = (epoch.val_bits_per_char for epoch in self.epochs)
        lowest = itertools.accumulate(values, min)
        return {epoch.report: value for epoch, value in zip(self.epochs, lowest, strict=True)}

    def row(self) -> dict[str, Any]:
        """Return the trial's row of trials.csv."""
        best = self.best
        measured = {name: getattr(best, name, None) for name in SCORES}
        return {
            **self.config.to_dict(),
            **measured,
            "trial_id": self.trial_id,
            "number": self.number,
            "status": self.status.value,
            "baseline": self.baseline or None,
            "precision": self.precision or self.config.precision,
            "kernel": self.kernel or self.config.kernel,
            "epochs_run": self.epochs_run,
            "best_epoch": best.epoch if best else None,
            "num_parameters": self.num_parameters,
            "vocabulary_size": self.vocabulary_size,
            "milliseconds_per_char": self.milliseconds_per_char,
            "elapsed_seconds": self.epochs[-1].elapsed_seconds if self.epochs else 0.0,
            "search_seconds": self.search_seconds,
            "error": self.error or None,
        }


configuration = operator.attrgetter(*(name for name in FIELD_NAMES if name != "seed"))
"""Returns what distinguishes a TrialConfig: all fields but the seed, which differs per trial."""


def num_ended(records: Iterable[TrialRecord]) -> int:
    """Return how many have ended; stopped ones can continue."""
    return sum(record.has_ended for record in records)


def num_done(records: Iterable[TrialRecord]) -> int:
    """Return how many are done, including baselines that have used their time."""
    return sum(record.is_done for record in records)


def trial_id(number: int) -> str:
    """Return the name of a trial's folder.

    >>> trial_id(7)
    'trial_00007'
    """
    return f"trial_{number:05d}"


class Outcome(enum.StrEnum):
    """Where a trial stands after a report, as the trial itself sees it."""

    TRAINING = "TRAINING"
    """More epochs follow; if this is the last report, the trial was stopped from outside."""
    FINISHED = "FINISHED"
    """All its epochs are trained, or its patience is exhausted."""
    DIVERGED = "DIVERGED"
    """Its loss became NaN or infinite; the report carries no metrics."""
    FAILED = "FAILED"
    """It raised an error, which follows; the report carries no metrics."""
