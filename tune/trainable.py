"""A trial on a Ray worker: forwards the trainer's epochs and checkpoints, nothing more."""

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import ray.tune as ray_tune
from ray.tune.experiment import Trial
from ray.tune.result import SHOULD_CHECKPOINT

from model.config import TrialConfig
from model.devices import pick_device, use_threads
from model.errors import CheckpointError, TrainingDiverged
from model.objective import PreparedCorpus
from model.trainer import Trainer
from tune.checkpoints import MODEL_FOLDER, fetch
from tune.epoch_events import write_epochs
from tune.outcome import RUNNING_BEST, Outcome
from tune.records import trial_id
from tune.resources import TrialResources


class CharLSTMTrainable(ray_tune.Trainable):
    """One step is one epoch. Actors are reused: starting one costs seconds, a trial nothing."""

    def setup(
        self, config: dict[str, Any], corpus: PreparedCorpus, cpus: int, gpus: float
    ) -> None:
        """Build the trainer of the actor's first trial.

        Args:
            config: The proposal of `StudySearcher.suggest`.
            corpus: The encoded corpus, from Ray's object store.
            cpus: CPU threads that the trial may use.
            gpus: GPUs, or the part of one, that the trial was given.
        """
        use_threads(cpus)
        self._corpus = corpus
        self._device = pick_device(use_gpu=gpus > 0)
        self._start_trial(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start the next trial in this actor."""
        self._start_trial(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch and report it."""
        try:
            # A trial can go on from its last epoch: it ended just before its driver was killed.
            report = next(self._epochs, None) or self._trainer.last_report
        except TrainingDiverged as error:
            return {
                "outcome": Outcome.DIVERGED.value,
                "error": str(error),
                "done": True,
                SHOULD_CHECKPOINT: False,
            }
        best = self._trainer.best_report
        assert report is not None and best is not None
        finished = self._trainer.is_finished
        result = {
            **dataclasses.asdict(report),
            RUNNING_BEST: best.val_bits_per_char,
            "outcome": Outcome.FINISHED.value if finished else Outcome.TRAINING.value,
            "precision": self._trainer.precision,
            "num_parameters": self._trainer.model.num_parameters(),
            "vocabulary_size": len(self._trainer.corpus.vocabulary),
            "done": finished,
            SHOULD_CHECKPOINT: True,
        }
        self._reported.append(result)
        return result

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the trial's checkpoint; Ray moves the folder to its storage."""
        self._trainer.save(Path(checkpoint_dir) / MODEL_FOLDER)
        write_epochs(Path(checkpoint_dir), self._trainer.config, self._reported)

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        """Go on from a checkpoint."""
        self._trainer.restore(Path(checkpoint_dir) / MODEL_FOLDER)

    def _start_trial(self, proposal: dict[str, Any]) -> None:
        """Begin a trial, or go on from the newest of its checkpoints that can be read."""
        config = TrialConfig.from_dict(proposal["config"])
        self._reported: list[dict[str, Any]] = []
        corpus = self._corpus.streams(config)
        self._trainer = Trainer(config, corpus, device=self._device)
        for location in proposal["checkpoints"]:
            try:
                with tempfile.TemporaryDirectory() as folder:
                    self._trainer.restore(fetch(location, Path(folder) / MODEL_FOLDER))
                break
            except (CheckpointError, OSError):
                # Half of it may have been read in.
                self._trainer = Trainer(config, corpus, device=self._device)
        self._epochs = self._trainer.epochs()


def trainable_for(corpus: PreparedCorpus, need: TrialResources) -> type[ray_tune.Trainable]:
    """Return the class that Ray runs, with its corpus in the object store and its resources."""
    with_corpus = ray_tune.with_parameters(
        CharLSTMTrainable, corpus=corpus, cpus=need.cpus, gpus=need.gpus
    )

    def request(proposal: dict[str, Any]) -> dict[str, float]:
        return need.request(TrialConfig.from_dict(proposal["config"]))

    trainable: type[ray_tune.Trainable] = ray_tune.with_resources(with_corpus, request)
    return trainable


def trial_dirname(trial: Trial) -> str:
    """Return the name of a trial's folder: the same in every run of the same seed."""
    return trial_id(trial.config["number"])
