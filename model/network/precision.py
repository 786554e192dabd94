"""Decides the arithmetic of a run: float32 or bfloat16 autocast.

bfloat16 is 1.8 times as fast on a CPU with AVX512-BF16 (2 x 256, batch 64) and 30 times as
slow where oneDNN is off, so "auto" measures on the machine and shape it runs. Without AVX512
oneDNN has no LSTM in bfloat16 at all (torch 2.13, AVX2: "could not create a primitive
descriptor"). On a GPU "auto" is float32: the LSTM runs in it either way (base.py).
"""

import functools
import time
from collections.abc import Callable

import torch

from model.config import TrialConfig
from model.errors import ConfigError
from model.network.lstm import CharLSTM

MIN_SPEEDUP = 1.05
"""bfloat16 is taken if it is so much faster. Measured on AVX512-BF16: 1.3 to 2.1 at all sizes
and repeatable to 0.05."""
# As many steps as a window has: over 16 the casting of the weights hid the gain.
_PROBE_SHAPE_TB = (64, 32)
_PROBE_REPEATS = 4


def resolve_precision(config: TrialConfig, device: torch.device) -> str:
    """Return "float32" or "bfloat16": what the config asks for, or what suits the machine.

    On a GPU float32 means TF32 where there is one (devices.py), and bfloat16 is for all products
    but the LSTM's.

    Raises:
        ConfigError: bfloat16 is asked for, and this CPU has no LSTM in it.
    """
    if config.precision == "bfloat16" and device.type == "cpu" and not has_bfloat16():
        raise ConfigError(
            "precision must be auto or float32 on this CPU, which cannot train an LSTM in "
            "bfloat16, got 'bfloat16'"
        )
    if config.precision != "auto":
        return config.precision
    # bfloat16 hardly gains on the GRU and loses on the Mogrifier's single steps.
    if device.type != "cpu" or config.cell != "lstm":
        return "float32"
    return _faster(size_class(config))


def size_class(config: TrialConfig) -> int:
    """Return the units that a shape is measured with: one measurement a class."""
    # The next power of two is as near as the shape matters. Beyond these bounds the answer is
    # the same and the measurement noisy (32) or slow (1024).
    return min(max(1 << (config.hidden_size - 1).bit_length(), 64), 512)


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Return the context in which a network runs in a precision, float32 or bfloat16.

    What another machine trained in bfloat16 runs in float32 on a CPU that has no LSTM in bfloat16.
    """
    enabled = precision == "bfloat16" and (device.type != "cpu" or has_bfloat16())
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


@functools.cache
def has_bfloat16() -> bool:
    """Return whether this CPU can train an LSTM in bfloat16."""
    layer = torch.nn.LSTM(16, 16)
    try:
        with torch.autocast("cpu", torch.bfloat16):
            outputs_TBH, _ = layer(torch.zeros(2, 1, 16))
        outputs_TBH.float().sum().backward()
    except RuntimeError:
        return False
    return True


def step_clock() -> Callable[[], float]:
    """Return a clock of CPU work that other work on the machine disturbs as little as can be.

    This thread's CPU seconds are what it would take alone: beside other programs 1 of 14 trainings
    chose another arithmetic by the clock on the wall. With more threads there is no such clock:
    theirs add up, and those of other work in this process with them.
    """
    return time.thread_time if torch.get_num_threads() == 1 else time.perf_counter


@functools.cache
def _faster(hidden_size: int) -> str:
    """Measure forward and backward pass of one window on the CPU; the minimum counts."""
    if not has_bfloat16():
        return "float32"
    with torch.random.fork_rng(devices=[]):
        model = CharLSTM(TrialConfig(hidden_size=hidden_size), vocabulary_size=64)
    inputs_TB = torch.zeros(_PROBE_SHAPE_TB, dtype=torch.int64)
    clock, seconds = step_clock(), {"float32": float("inf"), "bfloat16": float("inf")}
    for _ in range(_PROBE_REPEATS):  # interleaved; the minimum forgets the warm-up
        for precision in seconds:
            start = clock()
            with autocast(precision, torch.device("cpu")):
                logits_TBV, _ = model(inputs_TB)
            logits_TBV.float().sum().backward()
            seconds[precision] = min(seconds[precision], clock() - start)
    faster = seconds["float32"] > MIN_SPEEDUP * seconds["bfloat16"]
    return "bfloat16" if faster else "float32"
