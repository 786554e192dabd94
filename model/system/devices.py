"""What accelerators this machine has, for callers that must not import torch; and memory."""

import contextlib
import re
from collections.abc import Iterator

import torch

from model.errors import ConfigError
from model.system.limits import CONTEXT_BYTES

Device = torch.device
"""For callers that must not import torch."""

MAX_THREADS = 1_024
"""More than any machine has cores; OpenMP ends a process that cannot begin its threads."""
_TOO_LARGE = (
    *("t allocate memory", "out of memory", "size calculation overflowed", "Overflow when"),
    "ALLOC_FAILED",  # of cuBLAS and cuDNN, without room for their handles
)
"""How torch 2.13 says so, in a RuntimeError or, of 2**63 and more, in a TypeError."""


@contextlib.contextmanager
def memory_for(what: str) -> Iterator[None]:
    """Tell in one line that there is too little memory, on the CPU or on a GPU.

    Args:
        what: What takes it, for the message.

    Raises:
        ConfigError: An allocation failed.
    """
    try:
        yield
    except (MemoryError, RuntimeError, TypeError) as error:
        text = str(error)
        if not isinstance(error, MemoryError) and not any(phrase in text for phrase in _TOO_LARGE):
            raise
        asked = re.search(r"ried to allocate ([\d.]+ \w+)", text)
        room = f"there is no room for {asked[1]}" if asked else "there is not enough"
        raise ConfigError(f"{what} must fit into memory: {room}") from error


def num_gpus() -> int:
    """Count the CUDA GPUs that CUDA_VISIBLE_DEVICES leaves visible."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def free_gpu_bytes() -> int:
    """Return the free memory of the current GPU, which trains; never run on one.

    The process then holds a CUDA context until it ends.
    """
    return torch.cuda.mem_get_info()[0]


def limit_gpu_memory(part: float) -> None:
    """Have this process fail where it takes more than its part of a GPU, not its neighbours.

    Never run on a GPU.

    Args:
        part: Of the GPU's memory, CUDA's context included; above 0.
    """
    of_context = CONTEXT_BYTES / torch.cuda.mem_get_info()[1]
    torch.cuda.set_per_process_memory_fraction(max(0.0, part - of_context))


def return_gpu_memory() -> None:
    """Give back what torch keeps of a GPU for later tensors: other processes may share it."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch 2.13
        torch.cuda.empty_cache()


def pick_device(*, use_gpu: bool) -> torch.device:
    """Return the current CUDA GPU if one is wanted and there, else the CPU.

    On a GPU float32 products may then run in TF32, as cuDNN's LSTM does by torch's default.
    """
    if not (use_gpu and num_gpus()):
        return torch.device("cpu")
    torch.set_float32_matmul_precision("high")
    return torch.device("cuda")


def named_device(name: str | None) -> torch.device:
    """Return the device "cpu" or "cuda"; None is a GPU where there is one, else the CPU.

    Raises:
        ConfigError: A GPU is asked for and there is none.
    """
    if name == "cuda" and num_gpus() == 0:
        raise ConfigError(f"device must be cpu where no GPU is visible, got {name}")
    return pick_device(use_gpu=name != "cpu")


def use_threads(num_threads: int) -> None:
    """Limit the CPU threads of torch's arithmetic in this process."""
    if torch.get_num_threads() != num_threads:
        torch.set_num_threads(num_threads)
