"""How fast a machine trains: the seconds per kind of work, fitted to short timings.

An epoch's seconds are modelled as a sum over kinds of work: seconds per unit times amount
(cost.py). The seconds per unit are fitted to a few real training steps of different shapes, in 3
to 4 s. What later runs next to a trial, above all other trials, slows it; the timings do not
include that.

Source: Lawson & Hanson 1974, "Solving Least Squares Problems" (non-negative least squares).
"""

import dataclasses
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from model.config import TrialConfig
from model.network.precision import FLOAT32, Arithmetic, resolve_arithmetic, step_clock
from model.system.devices import free_gpu_bytes, num_gpus, pick_device, use_threads
from model.system.limits import resident_bytes
from model.text.streams import EncodedCorpus, Part
from model.text.vocabulary import Vocabulary
from model.training.cost import WORK_KINDS, TextSizes, Work, epoch_work, step_work
from model.training.trainer import Trainer

_PROBES = (
    (1, 67, 8, 32),
    (2, 67, 128, 50),
    (3, 131, 16, 50),
    (1, 250, 8, 50),
    (1, 259, 128, 64),
    (2, 253, 32, 50),
    (1, 509, 8, 32),
    (1, 500, 64, 32),
    (2, 487, 16, 32),
    (1, 1_001, 8, 16),
    (1, 989, 64, 8),
)
"""Layers, units, columns, time steps: the corners of what a CPU can train in a search, and some
between. Units are not multiples of 16, as in a search: those cost up to a fifth more."""
_USUAL_SIZE = 256
"""Number of units for which the precision and kernel of all sizes are decided."""
_PROBE_SYMBOLS = 64
_PROBE_SECONDS = 0.1
_PROBE_STEPS = 2
"""Minimum seconds and steps for which each shape is timed; the median step counts."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MachineSpeed:
    """The seconds per kind of work on a machine.

    Attributes:
        seconds: Seconds per unit of work, in the order of WORK_KINDS; none below 0.
    """

    seconds: tuple[float, ...]

    def epoch_seconds(self, config: TrialConfig, sizes: TextSizes) -> float:
        """Return the predicted seconds of an epoch, including its evaluation."""
        return float(np.dot(epoch_work(config, sizes), self.seconds))


def fit(works: Sequence[Work], seconds: Sequence[float]) -> MachineSpeed:
    """Return the speed by least squares of relative errors, with no seconds below 0."""
    from scipy.optimize import nnls  # takes 0.3 s, and only measuring needs it

    relative = np.array(works) / np.array(seconds)[:, None]
    scale = np.linalg.norm(relative, axis=0)
    found, _ = nnls(relative / scale, np.ones(len(relative)))
    return MachineSpeed(seconds=tuple((found / scale).tolist()))


def measure_speed(
    arithmetic: Arithmetic, largest_hidden_size: int, device: torch.device
) -> MachineSpeed:
    """Time some training steps of each shape on a device, with this process's threads.

    Args:
        arithmetic: The trials' precision and kernel; the same for all sizes.
        largest_hidden_size: The trials' largest; much larger shapes are left out.
        device: The trials' device.
    """
    asked = TrialConfig(**dataclasses.asdict(arithmetic))
    works, seconds = [], []
    for number, shape in enumerate(_PROBES):
        num_layers, hidden_size, batch_size, sequence_length = shape
        if number >= len(WORK_KINDS) and hidden_size > 2 * largest_hidden_size:
            continue
        config = dataclasses.replace(
            asked,
            num_layers=num_layers,
            hidden_size=hidden_size,
            batch_size=batch_size,
            sequence_length=sequence_length,
        )
        works.append(step_work(config, _PROBE_SYMBOLS))
        seconds.append(_step_seconds(config, device))
    return fit(works, seconds)


def _step_seconds(config: TrialConfig, device: torch.device) -> float:
    """Return the median time of training steps on random symbols, after a warm-up step."""
    trainer = Trainer(config, _random_corpus(config), device=device)
    clock = _clock(device)
    trainer.regime.begin_report(0, epoch_seed=0)
    trainer.train_step(1, 0)
    times: list[float] = []
    while len(times) < _PROBE_STEPS or sum(times) < _PROBE_SECONDS:
        start = clock()
        trainer.train_step(1, 0)
        times.append(clock() - start)
    return float(np.median(times))


def _clock(device: torch.device) -> Callable[[], float]:
    """Return a clock for work on a device."""
    if device.type == "cuda":

        def synchronized() -> float:
            torch.cuda.synchronize(device)
            return time.perf_counter()

        return synchronized
    return step_clock()


def _random_corpus(config: TrialConfig) -> EncodedCorpus:
    """Return a text that fills one window."""
    num_chars = config.batch_size * config.sequence_length + 1
    symbols = np.random.default_rng(0).integers(0, _PROBE_SYMBOLS, num_chars, dtype=np.uint8)
    part = Part(symbols=symbols, num_chars=num_chars, num_raw_chars=num_chars)
    return EncodedCorpus(
        cleaning=config.cleaning,
        vocabulary=Vocabulary(tuple(chr(ord("0") + index) for index in range(_PROBE_SYMBOLS))),
        train=part,
        validation=part,
        test=part,
    )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """The measurement of a machine.

    Attributes:
        speed: How fast it trains.
        process_bytes: Memory of a process that has trained, without that of the training.
        free_gpu_bytes: Free memory of the GPU before anything was trained; None without a GPU.
        arithmetic: The fastest precision and kernel for an LSTM of 256 units.
    """

    speed: MachineSpeed
    process_bytes: int
    free_gpu_bytes: int | None
    arithmetic: Arithmetic = FLOAT32


def measure_machine(
    *, precision: str, kernel: str, largest_hidden_size: int, num_threads: int, use_gpu: bool
) -> Machine:
    """Measure in this process, with the threads and the device of a trial, in 3 to 4 s.

    Args:
        precision: The trials' precision.
        kernel: The trials' kernel.
        largest_hidden_size: The trials' largest number of units.
        num_threads: CPU threads per trial.
        use_gpu: Whether trials train on a GPU. This has never been run on one.
    """
    use_threads(num_threads)
    gpu_bytes = free_gpu_bytes() if use_gpu and num_gpus() else None
    device = pick_device(use_gpu=use_gpu)
    asked = TrialConfig(precision=precision, kernel=kernel, hidden_size=_USUAL_SIZE)
    arithmetic = resolve_arithmetic(asked, device)
    speed = measure_speed(arithmetic, largest_hidden_size, device)
    return Machine(
        speed=speed,
        # Measured afterwards: what torch loads only at a first step takes memory.
        process_bytes=resident_bytes(),
        free_gpu_bytes=gpu_bytes,
        arithmetic=arithmetic,
    )
