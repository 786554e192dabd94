"""A trial on a Ray worker: forwards the trainer's epochs and checkpoints, nothing more."""

import dataclasses
import functools
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray.tune as ray_tune
from ray.tune.experiment import Trial
from ray.tune.result import SHOULD_CHECKPOINT

from model.config import TrialConfig
from model.errors import CheckpointError, TrainingDiverged
from model.network.own_cells import OwnCell, execute_and_register, known_cells
from model.system.devices import (
    limit_gpu_memory,
    pick_device,
    return_gpu_memory,
    use_threads,
)
from model.system.limits import limit_growth, peak_bytes, reset_peak
from model.training.epoch_report import EpochReport
from model.training.trainer import Trainer
from tune.cluster.precision import arithmetic_on_node, node_folder
from tune.cluster.resources import TrialResources
from tune.cluster.shared_corpus import SharedCorpus
from tune.cluster.trial_memory import TrialMemory
from tune.records.trial import (
    ESTIMATED_MEMORY,
    MEMORY_EXCESS,
    PEAK_MEMORY,
    RUNNING_BEST,
    Outcome,
    trial_id,
)
from tune.storage.checkpoints import (
    MODEL_FOLDER,
    StoredCheckpoint,
    beside,
    drop_older,
    fetch,
    stored_checkpoint,
)
from tune.trials.epoch_reports import reported_first, write_epochs

MEMORY_SLACK = 2
"""A trial's process may grow to its request times this; beyond, something has gone wrong."""
KEPT_WHILE_RUNNING = 2
"""Checkpoints of a running trial: the newest may turn out to be damaged, so one before it, too."""


class MeasuredMemory:
    """Measures the trials of one process, which run one after another."""

    def __init__(self, memory: TrialMemory | None) -> None:
        """Compare with an estimate; None if there is none."""
        self._memory = memory
        self._most_needed = 0
        self._estimated_bytes: int | None = None

    def begin(self, config: TrialConfig) -> None:
        """Start with the next trial."""
        self._estimated_bytes = None
        if self._memory is None:
            return
        needed = self._memory.needed_bytes(config) + self._memory.shared_bytes
        # A process keeps much of earlier trials' memory, so a smaller trial's peak says nothing.
        if needed >= self._most_needed and reset_peak():
            self._most_needed = self._estimated_bytes = needed

    def values(self) -> dict[str, int | None]:
        """Return the trial's peak so far and its estimate, for the report; None if unknown."""
        peak = peak_bytes() if self._estimated_bytes is not None else None
        return {PEAK_MEMORY: peak, ESTIMATED_MEMORY: self._estimated_bytes}


class StorageSilent(RuntimeError):
    """A checkpoint exists, or may exist, but cannot be read now."""


class CharLSTMTrainable(ray_tune.Trainable):
    """One step is one report. Actors are reused: starting an actor costs seconds, a trial none."""

    _trainer: Trainer | None
    _epochs: Iterator[EpochReport]
    _error: Exception | None
    _checkpoints: list[StoredCheckpoint]

    def setup(
        self,
        config: dict[str, Any],
        corpus: SharedCorpus,
        need: TrialResources,
        cells: tuple[OwnCell, ...] = (),
    ) -> None:
        """Take the actor's first trial.

        Args:
            config: A proposal from `FollowingLimiter.suggest`.
            corpus: The encoded corpus.
            need: What the trial was given; an actor gets only trials with equal requests.
            cells: The user's own cells; only the driver has their files.
        """
        execute_and_register(cells)
        self._device = pick_device(use_gpu=need.gpus > 0)
        if self._device.type == "cuda" and need.gpus < 1:
            limit_gpu_memory(need.gpus)
        memory = need.memory
        # How much host memory CUDA maps was not measured; and a request for training on a GPU is
        # too small on a node whose torch sees none.
        if self._device.type == "cuda" or (memory is not None and memory.on_gpu):
            memory = None
        if memory is not None:
            trial = TrialConfig.from_dict(config["config"])
            limit_growth(MEMORY_SLACK * memory.asked_bytes(trial, config[MEMORY_EXCESS]))
        self._memory = MeasuredMemory(memory)
        use_threads(need.cpus)
        self._corpus = corpus.get()
        self._take(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial in this actor."""
        self._take(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train until the next report.

        Raises:
            StorageSilent: A checkpoint cannot be read now.
            Exception: What the last epoch raised. It was reported first, so that the driver
                knows that another worker would fail too; Ray keeps the traceback and ends the
                process, whose state may be corrupt.
        """
        if self._error is not None:
            raise self._error
        try:
            return self._train_on()
        except StorageSilent:  # the next worker may get an answer
            raise
        except TrainingDiverged as error:
            return {
                "outcome": Outcome.DIVERGED.value,
                "error": str(error),
                "done": True,
                SHOULD_CHECKPOINT: False,
            }
        except Exception as error:  # whatever a trial raises is its own failure
            traceback.clear_frames(error.__traceback__)  # they may hold all memory
            self._error = error
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            return {
                "outcome": Outcome.FAILED.value,
                "error": reason.removesuffix(":"),
                SHOULD_CHECKPOINT: False,
            }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the trial's checkpoint; Ray moves the folder to its storage."""
        assert self._trainer is not None
        self._trainer.save(Path(checkpoint_dir) / MODEL_FOLDER)
        write_epochs(Path(checkpoint_dir), self._config, self._reported)

    def save(self, checkpoint_dir: str | None = None) -> Any:
        """Save, then remove checkpoints that no worker will continue from, also a dead one's.

        Args:
            checkpoint_dir: As in Ray; None for a folder that Ray makes.
        """
        # Not super(): a class pickled by value, such as a script's, has lost its `__class__` cell.
        saved = ray_tune.Trainable.save(self, checkpoint_dir)
        if self._storage is not None:
            storage = self._storage
            drop_older(storage.storage_filesystem, storage.trial_fs_path, keep=KEPT_WHILE_RUNNING)
        return saved

    def restore(self, checkpoint_path: Any) -> None:
        """Continue from the newest intact checkpoint after the previous worker died.

        Ray 2.60's own method gives up a trial whose newest checkpoint is damaged or gone.

        Args:
            checkpoint_path: What `save` returned for the newest.
        """
        newest = checkpoint_path.checkpoint
        self._checkpoints = [*beside(newest.filesystem, newest.path), *self._checkpoints]

    def _take(self, proposal: dict[str, Any]) -> None:
        """Prepare a trial; its first step starts it, so that errors there are reported."""
        self._config = TrialConfig.from_dict(proposal["config"])
        self._checkpoints = [stored_checkpoint(location) for location in proposal["checkpoints"]]
        self._trainer = None
        self._epochs = iter(())  # those of the last trial hold its trainer
        return_gpu_memory()
        self._error = None
        self._reported: list[dict[str, Any]] = []
        self._memory.begin(self._config)

    def _train_on(self) -> dict[str, Any]:
        if self._trainer is None:
            self._trainer = self._begin()
            self._epochs = self._trainer.reports()
        # A trial may resume after its last epoch, if its driver was killed just after that.
        report = next(self._epochs, None) or self._trainer.last_report
        best = self._trainer.best_report
        assert report is not None and best is not None
        finished = self._trainer.is_finished
        result = {
            **dataclasses.asdict(report),
            RUNNING_BEST: best.val_bits_per_char,
            "outcome": Outcome.FINISHED.value if finished else Outcome.TRAINING.value,
            **dataclasses.asdict(self._trainer.arithmetic),
            "num_parameters": self._trainer.model.num_parameters(),
            "vocabulary_size": len(self._trainer.corpus.vocabulary),
            **self._memory.values(),
            "done": finished,
            SHOULD_CHECKPOINT: True,
        }
        # A trial that resumes at its end reports its last epoch again.
        self._reported = [*_up_to(report.report - 1, self._reported), result]
        return result

    def _begin(self) -> Trainer:
        """Build the trainer in the state of the newest intact checkpoint, with its reports.

        Raises:
            StorageSilent: Whether a checkpoint is intact cannot be determined now.
        """
        make = functools.partial(
            Trainer,
            self._config,
            self._corpus.streams(self._config),
            device=self._device,
            arithmetic=arithmetic_on_node(self._config, self._device, node_folder()),
            location=self._corpus.location,
        )
        try:
            for stored, results in reported_first(self._checkpoints, self._config):
                trainer = make()
                try:
                    with tempfile.TemporaryDirectory() as folder:
                        trainer.restore(fetch(stored, Path(folder) / MODEL_FOLDER))
                except (CheckpointError, FileNotFoundError):
                    continue  # the trainer may be half restored
                assert trainer.last_report is not None
                self._reported = _up_to(trainer.last_report.report, results)
                return trainer
        except OSError as error:  # starting again would lose what exists
            raise StorageSilent(f"{type(error).__name__}: {error}") from error
        return make()


def _up_to(report: int, results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [result for result in results if result["report"] <= report]


def trainable_for(corpus: SharedCorpus, need: TrialResources) -> type[ray_tune.Trainable]:
    """Return the class that Ray runs, with its corpus and resources."""
    with_corpus = ray_tune.with_parameters(
        CharLSTMTrainable, corpus=corpus, need=need, cells=known_cells()
    )

    def request(proposal: dict[str, Any]) -> dict[str, float]:
        trial = TrialConfig.from_dict(proposal["config"])
        return need.request(trial, memory_excess_bytes=proposal[MEMORY_EXCESS])

    trainable: type[ray_tune.Trainable] = ray_tune.with_resources(with_corpus, request)
    return trainable


def trial_dirname(trial: Trial) -> str:
    """Return the name of a trial's folder in a session, the same in every run with that seed."""
    name, part = trial_id(trial.config["number"]), trial.config.get("part", 1)
    return name if part == 1 else f"{name}-{part}"
