"""A trial that sleeps instead of training, to load the driver with many workers on few cores.

Imports no torch: 64 of its workers fit into a laptop's memory.
"""

import math
import os
import time
from pathlib import Path
from typing import Any

import ray.tune as ray_tune
from ray.tune.result import SHOULD_CHECKPOINT

from model.config import TrialConfig
from tune.outcome import RUNNING_BEST, Outcome


def made_up_bits(config: TrialConfig, epoch: int) -> float:
    """Return a score with the shape of a real one: it falls with epochs, and has a best size.

    >>> config = TrialConfig(hidden_size=512)
    >>> made_up_bits(config, 1) > made_up_bits(config, 9) > 1.9
    True
    """
    size = math.log2(config.hidden_size / 512)
    rate = math.log10(config.learning_rate / 3e-3)
    final = 1.9 + 0.02 * size**2 + 0.1 * rate**2 + 0.2 * (config.dropout - 0.4) ** 2
    jitter = 0.01 * math.sin(config.seed * 7.0 + epoch)
    return final + 0.8 / epoch + jitter


class StandIn(ray_tune.Trainable):
    """One step is one epoch of sleep; reports and checkpoints are those of a real trial."""

    def setup(
        self, config: dict[str, Any], seconds_per_epoch: float, workers_folder: Path
    ) -> None:
        """Take the first trial.

        Args:
            config: The proposal of `StudySearcher.suggest`.
            seconds_per_epoch: How long an epoch sleeps.
            workers_folder: Gets an empty file from each worker, for the driver to count.
        """
        (workers_folder / f"{os.getpid()}").touch()
        self._seconds_per_epoch = seconds_per_epoch
        self._start_trial(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial."""
        self._start_trial(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Sleep for an epoch and report it."""
        start = time.perf_counter()
        time.sleep(self._seconds_per_epoch)
        self._epoch += 1
        self._elapsed_seconds += time.perf_counter() - start
        bits = made_up_bits(self._config, self._epoch)
        self._best = min(self._best, bits)
        is_finished = self._epoch >= self._config.epochs
        return {
            "epoch": self._epoch,
            "train_nats_per_char": bits,
            "val_nats_per_char": bits,
            "val_own_bits_per_char": bits,
            "val_bits_per_char": bits,
            "elapsed_seconds": self._elapsed_seconds,
            RUNNING_BEST: self._best,
            "outcome": (Outcome.FINISHED if is_finished else Outcome.TRAINING).value,
            "precision": "float32",
            "num_parameters": 1,
            "vocabulary_size": 1,
            "done": is_finished,
            SHOULD_CHECKPOINT: True,
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write a file, for Ray to move."""
        (Path(checkpoint_dir) / "epoch").write_text(f"{self._epoch}\n", encoding="utf-8")

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        """Go on from a checkpoint."""
        self._epoch = int((Path(checkpoint_dir) / "epoch").read_text(encoding="utf-8"))

    def _start_trial(self, proposal: dict[str, Any]) -> None:
        self._config = TrialConfig.from_dict(proposal["config"])
        self._epoch, self._elapsed_seconds, self._best = 0, 0.0, math.inf
