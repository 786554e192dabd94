"""A search whose trials misbehave by their number: `python tests/support/faulty_search.py FLAGS`.

The driver, Ray and the processes are real; once its first epoch is trained, each of these trials
does what a bug in a trial, a library or the system would do. The environment variables FIRST_TIME
and STUCK name a file and a folder.
"""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from tune import run
from tune.trials import experiment, trainable
from tune.trials.lost_workers import TrialTimeout

DIES, DIES_SAVING, HANGS, STOPS, RAISES, DIES_ONCE, GROWS, IDLES = range(1, 9)
"""Trial numbers; the trials that take longest come first."""

TRIALS = 9


class FaultyTrainable(trainable.CharLSTMTrainable):
    """Misbehaves before it trains its second epoch, or while it saves the first."""

    def setup(self, config: dict[str, Any], **parameters: Any) -> None:
        super().setup(config, **parameters)
        self._number = config["number"]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._number = new_config["number"]
        return super().reset_config(new_config)

    def _take(self, proposal: dict[str, Any]) -> None:
        if proposal["number"] == IDLES:  # learns nothing until its patience runs out
            proposal = {**proposal, "config": {**proposal["config"], "learning_rate": 1e-30}}
        super()._take(proposal)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        if self._number == DIES_SAVING:
            os.kill(os.getpid(), signal.SIGKILL)
        super().save_checkpoint(checkpoint_dir)

    def _train_on(self) -> dict[str, Any]:
        if self._trainer is not None or self._checkpoints:
            misbehave(self._number)
        return super()._train_on()


class StuckTrialTimeout(TrialTimeout):
    """Counts time only while all silent trials are stuck, so that a healthy trial has as much
    time as the machine needs."""

    def on_step_begin(self, **info: Any) -> None:
        if all(is_stuck(trial.config["number"]) for trial in self._silent_since):
            super().on_step_begin(**info)
        else:
            self._last_step = time.monotonic()


def is_stuck(number: int) -> bool:
    """Return whether a trial's worker is stuck and still exists."""
    path = Path(os.environ["STUCK"], str(number))
    return path.exists() and psutil.pid_exists(int(path.read_text()))


def misbehave(number: int) -> None:
    """Do what the trial with this number does."""
    if number in (HANGS, STOPS):
        partial = Path(os.environ["STUCK"], f"{number}.partial")
        partial.write_text(str(os.getpid()))
        partial.rename(partial.with_suffix(""))
    if number == RAISES:
        raise ValueError("a defect\nof two lines")
    if number == HANGS:
        ctypes.PyDLL(None).sleep(3_600)  # in C; no other Python thread can run
    if number == STOPS:
        os.kill(os.getpid(), signal.SIGSTOP)
    if number == DIES or (number == DIES_ONCE and first_time()):
        os.kill(os.getpid(), signal.SIGKILL)
    if number == GROWS:
        held = []
        while True:
            held.append(bytearray(64 << 20))


def first_time() -> bool:
    """Return whether this is the first call."""
    try:
        Path(os.environ["FIRST_TIME"]).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


if __name__ == "__main__":
    trainable.CharLSTMTrainable = FaultyTrainable  # type: ignore[misc]
    experiment.TrialTimeout = StuckTrialTimeout
    sys.exit(run.main(sys.argv[1:]))
