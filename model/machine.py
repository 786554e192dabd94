"""What a process learns of the machine it trains on, before the first trial."""

import dataclasses

from model.speed import MachineSpeed, measure_speed
from model.system.devices import free_gpu_bytes, num_gpus, pick_device, use_threads
from model.system.limits import resident_bytes


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What was measured.

    Attributes:
        speed: How fast it trains.
        process_bytes: Memory that a process takes which has trained, besides the training.
        free_gpu_bytes: Free memory of the GPU, before anything was trained; None without one.
    """

    speed: MachineSpeed
    process_bytes: int
    free_gpu_bytes: int | None


def measure_machine(
    *, precision: str, largest_hidden_size: int, num_threads: int, use_gpu: bool
) -> Machine:
    """Measure in this process, with the threads and the device of a trial, in 3 to 4 s.

    Args:
        precision: The trials'.
        largest_hidden_size: The trials'.
        num_threads: CPU threads of a trial.
        use_gpu: Whether trials train on a GPU. This was never run on one.
    """
    use_threads(num_threads)
    gpu_bytes = free_gpu_bytes() if use_gpu and num_gpus() else None
    speed = measure_speed(precision, largest_hidden_size, pick_device(use_gpu=use_gpu))
    # After it: imports that torch puts off until a first step take 0.1 GB.
    return Machine(speed=speed, process_bytes=resident_bytes(), free_gpu_bytes=gpu_bytes)
