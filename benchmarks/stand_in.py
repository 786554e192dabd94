"""A trial that reports a recorded curve and sleeps instead of training.

It lets a few cores load the driver with many workers. It imports neither torch nor pandas: 64
of its workers fit into a laptop's memory.
"""

import dataclasses
import math
import os
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import ray.tune as ray_tune
from numpy.typing import NDArray
from ray.tune.result import SHOULD_CHECKPOINT

from model.config import FIELD_NAMES, TrialConfig
from tune.records.trial import ESTIMATED_MEMORY, PEAK_MEMORY, RUNNING_BEST, SCORES, Outcome

GATE = "open"
"""A file in the workers' folder: no trial starts its first epoch before it exists."""
POLL_SECONDS = 0.1


@dataclasses.dataclass(frozen=True, slots=True)
class Curves:
    """Recorded curves of several configurations.

    Attributes:
        points: Features of the configurations, one row each.
        bits: Their val_bits_per_char by epoch, one row each.
    """

    points: NDArray[np.float64]
    bits: NDArray[np.float64]

    @classmethod
    def read(cls, path: Path) -> "Curves":
        """Read the curves that benchmarks/record_curves.py recorded."""
        import pandas as pd

        table = pd.read_parquet(path)
        points, bits = [], []
        length = int(table["epoch"].max())
        for _, rows in table.groupby("configuration"):
            (row,) = rows.head(1).to_dict("records")
            settings = {str(name): row[name] for name in row if name in FIELD_NAMES}
            points.append(_point(TrialConfig.from_dict(settings)))
            curve = rows["val_bits_per_char"].to_list()
            bits.append(curve + [curve[-1]] * (length - len(curve)))
        return cls(np.array(points), np.array(bits))

    def of(self, config: TrialConfig) -> NDArray[np.float64]:
        """Return the curve of the nearest recorded configuration.

        It is shifted up or down as another seed would shift it.
        """
        distances = np.square(self.points - _point(config)).sum(axis=1)
        chance = np.random.default_rng(config.seed)
        nearest: NDArray[np.float64] = self.bits[int(distances.argmin())]
        return nearest + chance.normal(scale=0.01)


def reported(
    curve: NDArray[np.float64], epoch: int, *, elapsed_seconds: float, is_finished: bool
) -> dict[str, Any]:
    """Return what a trial reports after an epoch; after its end, a curve is constant."""
    bits = float(curve[min(epoch, len(curve)) - 1])
    return {
        "report": epoch,
        "epoch": epoch,
        **dict.fromkeys(SCORES, bits),
        "elapsed_seconds": elapsed_seconds,
        RUNNING_BEST: float(curve[:epoch].min()),
        "outcome": (Outcome.FINISHED if is_finished else Outcome.TRAINING).value,
        "precision": "float32",
        "kernel": "torch",
        "num_parameters": 1,
        "vocabulary_size": 1,
        **dict.fromkeys(("chars_trained", PEAK_MEMORY, ESTIMATED_MEMORY)),
    }


class StandIn(ray_tune.Trainable):
    """One step is one epoch of sleep; reports and checkpoints are those of a real trial."""

    def setup(
        self,
        config: dict[str, Any],
        curves: Curves,
        seconds_per_epoch: float,
        workers_folder: Path,
    ) -> None:
        """Start the first trial.

        Args:
            config: The proposal of `StudySearcher.suggest`.
            curves: Curves that trials report.
            seconds_per_epoch: Sleep per epoch.
            workers_folder: Each worker creates an empty file here, for the driver to count.
        """
        (workers_folder / f"{os.getpid()}").touch()
        self._gate = workers_folder / GATE
        self._curves = curves
        self._has_begun = False
        self._seconds_per_epoch = seconds_per_epoch
        self._start_trial(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start the next trial."""
        self._start_trial(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Sleep for an epoch and report it."""
        if not self._has_begun:
            while not self._gate.exists():
                time.sleep(POLL_SECONDS)
            # Workers that start together would all report at the same moment.
            time.sleep(random.random() * self._seconds_per_epoch)
            self._has_begun = True
        start = time.perf_counter()
        time.sleep(self._seconds_per_epoch)
        self._epoch += 1
        self._elapsed_seconds += time.perf_counter() - start
        is_finished = self._epoch >= self._config.epochs
        result = reported(
            self._curve,
            self._epoch,
            elapsed_seconds=self._elapsed_seconds,
            is_finished=is_finished,
        )
        return {**result, "done": is_finished, SHOULD_CHECKPOINT: True}

    def save(self, checkpoint_dir: str | None = None) -> Any:
        """Save, and remove older checkpoints, like a real trial."""
        saved = super().save(checkpoint_dir)
        checkpoint = saved.checkpoint
        self._saved.append(checkpoint.path)
        if len(self._saved) > 2:
            checkpoint.filesystem.delete_dir(self._saved.pop(0))
        return saved

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write a file for Ray to move."""
        (Path(checkpoint_dir) / "epoch").write_text(f"{self._epoch}\n", encoding="utf-8")

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        """Continue from a checkpoint."""
        self._epoch = int((Path(checkpoint_dir) / "epoch").read_text(encoding="utf-8"))

    def _start_trial(self, proposal: dict[str, Any]) -> None:
        self._config = TrialConfig.from_dict(proposal["config"])
        self._curve = self._curves.of(self._config)
        self._epoch, self._elapsed_seconds = 0, 0.0
        self._saved: list[str] = []


def _point(config: TrialConfig) -> list[float]:
    """Return a configuration as numbers that matter about equally."""
    return [
        math.log2(config.hidden_size),
        math.log2(config.learning_rate),
        math.log2(config.batch_size),
        2.0 * config.num_layers,
        5.0 * config.dropout,
    ]
