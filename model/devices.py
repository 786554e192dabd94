"""What accelerators this machine has, for callers that must not import torch."""

import torch

from model.errors import ConfigError

Device = torch.device
"""For callers that must not import torch."""


def num_gpus() -> int:
    """Count the CUDA GPUs that CUDA_VISIBLE_DEVICES leaves visible."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def free_gpu_bytes() -> int:
    """Return the free memory of the visible GPU that has most; never run on one.

    The process then holds a CUDA context until it ends.
    """
    return max(torch.cuda.mem_get_info(index)[0] for index in range(num_gpus()))


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
    """Limit torch's arithmetic to so many CPU threads in this process."""
    if torch.get_num_threads() != num_threads:
        torch.set_num_threads(num_threads)
