"""Decides the precision of a run, float32 or bfloat16 autocast, and the kernel.

With torch, bfloat16 is 1.8 times as fast on an EPYC with AVX512-BF16 (2 x 256, batch 64), 0.75
times on a Xeon that has it without AMX (1 x 256), and 30 times as slow where oneDNN is off, so
"auto" measures on the machine, with the network's size. Without AVX512, oneDNN has no LSTM in
bfloat16 (torch 2.13, AVX2: "could not create a primitive descriptor"). On a GPU "auto" is float32:
the LSTM runs in it either way (base.py). Our own kernel (kernels/) trains a layer 1.01 to 4 times
as fast as torch's in bfloat16 (64 to 1,000 units, 1 to 128 columns).
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Collection

import torch

from model.config import ARITHMETIC_FIELDS, TrialConfig, check_arithmetic
from model.errors import ConfigError
from model.network.kernels.library import load_kernel
from model.network.lstm import CharLSTM

MIN_SPEEDUP = 1.05
"""Speedup from which bfloat16 is chosen before float32, and torch's kernel before ours, which
writes faster. Measured on the EPYC: bfloat16 1.3 to 2.1 at all sizes, repeatable to 0.05; on the
Xeon, our float32 kernel 0.92 to 1.29 times torch's."""
# As many steps as a window has: with 16, casting the weights hid the gain.
_PROBE_SHAPE_TB = (64, 32)
_PROBE_REPEATS = 4


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Arithmetic:
    """The precision and the kernel of a network.

    Attributes:
        precision: "float32" or "bfloat16".
        kernel: Kernel of an LSTM: "torch" or, on a CPU, "fused".
    """

    precision: str = "float32"
    kernel: str = "torch"

    def __post_init__(self) -> None:
        check_arithmetic(self.precision, self.kernel)

    def __str__(self) -> str:
        return self.precision if self.kernel == "torch" else f"{self.precision} ({self.kernel})"

    @property
    def is_available(self) -> bool:
        """Whether this CPU can train an LSTM so."""
        has_precision = self.precision == "float32" or has_bfloat16()
        return has_precision and (self.kernel == "torch" or load_kernel(self.dtype) is not None)

    @property
    def dtype(self) -> torch.dtype:
        """The precision as torch names it."""
        dtype: torch.dtype = getattr(torch, self.precision)
        return dtype


FLOAT32 = Arithmetic()
BFLOAT16 = Arithmetic(precision="bfloat16")
FUSED_FLOAT32 = Arithmetic(precision="float32", kernel="fused")
FUSED_BFLOAT16 = Arithmetic(precision="bfloat16", kernel="fused")
ARITHMETICS = (FLOAT32, BFLOAT16, FUSED_FLOAT32, FUSED_BFLOAT16)


def resolve_arithmetic(config: TrialConfig, device: torch.device) -> Arithmetic:
    """Return what the config asks for; of its "auto" choices, the fastest on this machine.

    On a GPU, float32 means TF32 if the GPU has it (devices.py), and bfloat16 applies to all
    products except the LSTM's.

    Raises:
        ConfigError: This machine cannot do what the config asks for.
    """
    asked = _asked(config, device)
    return asked[0] if len(asked) == 1 else _fastest(size_class(config), asked)


def _asked(config: TrialConfig, device: torch.device) -> tuple[Arithmetic, ...]:
    """Return what the config asks for, as far as this machine can do it; at least one.

    Raises:
        ConfigError: It cannot.
    """
    if config.precision == "bfloat16" and device.type == "cpu" and not has_bfloat16():
        raise ConfigError(
            "precision must be auto or float32 on this CPU, which cannot train an LSTM in "
            "bfloat16, got 'bfloat16'"
        )
    # bfloat16 gains little for the GRU and slows down the Mogrifier's single steps.
    if device.type != "cpu" or config.cell != "lstm":
        return (BFLOAT16,) if config.precision == "bfloat16" else (FLOAT32,)
    asked = tuple(
        each
        for each in ARITHMETICS
        if config.precision in ("auto", each.precision)
        and config.kernel in ("auto", each.kernel)
        and each.is_available
    )
    if not asked:
        raise ConfigError(
            "kernel must be auto or torch here, where AVX512 (in bfloat16: AVX512-BF16) or a C++ "
            "compiler that knows it is missing, got 'fused'"
        )
    return asked


def for_this_machine(
    config: TrialConfig, device: torch.device, *, named: Collection[str] = ()
) -> TrialConfig:
    """Return a configuration from a file, with "auto" for another machine's arithmetic.

    best.json has the arithmetic that the search's machine chose, in which that machine repeats a
    trial exactly.

    Args:
        config: The configuration.
        device: What it is trained on.
        named: Fields that the user has named beside the file; they are not changed.
    """
    if config.precision == config.kernel == "auto":  # nothing is compiled before it is used
        return config
    try:
        _asked(config, device)
        # A GPU never chooses bfloat16 itself.
        if device.type == "cpu" or config.precision != "bfloat16" or "precision" in named:
            return config
    except ConfigError:
        pass
    free = [name for name in ARITHMETIC_FIELDS if name not in named]
    return TrialConfig.from_dict({**config.to_dict(), **dict.fromkeys(free, "auto")})


def size_class(config: TrialConfig) -> int:
    """Return the number of units with which a shape is measured: one measurement per class."""
    # The next power of two is accurate enough. Beyond these bounds the answer is
    # the same and the measurement noisy (32) or slow (1024).
    return min(max(1 << (config.hidden_size - 1).bit_length(), 64), 512)


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Return the context in which a network runs in float32 or bfloat16.

    What was trained in bfloat16 elsewhere runs in float32 on a CPU that has no bfloat16 LSTM.
    """
    enabled = precision == "bfloat16" and (device.type != "cpu" or has_bfloat16())
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


@functools.cache
def has_bfloat16() -> bool:
    """Return whether this CPU can train an LSTM in bfloat16."""
    with torch.random.fork_rng(devices=[]):
        layer = torch.nn.LSTM(16, 16)
    try:
        with torch.autocast("cpu", torch.bfloat16):
            outputs_TBH, _ = layer(torch.zeros(2, 1, 16))
        outputs_TBH.float().sum().backward()
    except RuntimeError:
        return False
    return True


def step_clock() -> Callable[[], float]:
    """Return a clock of CPU work that other work on the machine disturbs as little as possible.

    This thread's CPU seconds are what the work would take alone. With a wall clock and other
    programs running, 1 of 14 trainings chose a different arithmetic. With several threads there is
    no such clock: theirs add up, together with those of other work in this process.
    """
    return time.thread_time if torch.get_num_threads() == 1 else time.perf_counter


@functools.cache
def _fastest(hidden_size: int, choices: tuple[Arithmetic, ...]) -> Arithmetic:
    """Time the forward and backward pass of one window on the CPU; the minimum counts."""
    with torch.random.fork_rng(devices=[]):
        model = CharLSTM(TrialConfig(hidden_size=hidden_size), vocabulary_size=64)
    inputs_TB = torch.zeros(_PROBE_SHAPE_TB, dtype=torch.int64)
    clock, seconds = step_clock(), dict.fromkeys(choices, float("inf"))
    for _ in range(_PROBE_REPEATS):  # interleaved; the minimum discards the warm-up
        for choice in choices:
            model.use_kernel(choice.kernel, choice.precision)
            start = clock()
            with autocast(choice.precision, torch.device("cpu")):
                logits_TBV, _ = model(inputs_TB)
            logits_TBV.float().sum().backward()
            seconds[choice] = min(seconds[choice], clock() - start)

    def handicapped(choice: Arithmetic) -> float:
        num_handicaps = (choice.precision == "bfloat16") + (choice.kernel == "torch")
        return seconds[choice] * MIN_SPEEDUP**num_handicaps

    return min(choices, key=handicapped)
