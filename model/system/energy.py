"""The energy that this machine's CPUs and GPUs use, where their counters can be read.

Linux's powercap (RAPL) counts a CPU package, NVML a GPU: for whatever program runs on them.
"""

import contextlib
import dataclasses
import functools
import importlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

from model.errors import ConfigError

POWERCAP = Path("/sys/class/powercap")
READ_SECONDS = 60.0
"""Time between two readings. RAPL wraps at 262 kJ or less: 4 minutes of a package at 1 kW."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Energy:
    """What was measured.

    Attributes:
        seconds: For how long, at least 0.
        cpu_joules: What the CPU packages used, at least 0; None is not known.
        gpu_joules: The same of the GPUs.

    Raises:
        ConfigError: A number is below 0.
    """

    seconds: float = 0.0
    cpu_joules: float | None = None
    gpu_joules: float | None = None

    def __post_init__(self) -> None:
        for name in ("seconds", "cpu_joules", "gpu_joules"):
            if (getattr(self, name) or 0.0) < 0:
                raise ConfigError(f"{name} must be at least 0, got {getattr(self, name)}")


class EnergyMeter:
    """A context manager: while it is open, what the machine uses is measured and kept.

    Where no counter can be read it keeps nothing.
    """

    def __init__(self, before: Energy, keep: Callable[[Energy], None]) -> None:
        """Begin to measure.

        Args:
            before: What was measured earlier, to which this is added.
            keep: Keeps what was measured so far; called from a thread too. Of a file that cannot
                be written the search learns by its other files.
        """
        parts = {"cpu_joules": _cpu_counters(), "gpu_joules": _gpu_counters()}
        self._counters = {part: counters for part, counters in parts.items() if counters}
        self._energy, self._keep = before, keep
        self._read_at = time.monotonic()
        self._lock, self._ending = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="energy")

    def __enter__(self) -> "EnergyMeter":
        if self._counters:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        if self._counters:
            self._thread.join()
        self.read()

    def read(self) -> None:
        """Read the counters and keep what was measured."""
        if not self._counters:
            return
        with self._lock:
            now = time.monotonic()
            joules = {
                part: (getattr(self._energy, part) or 0.0)
                + sum(each.joules() for each in counters)
                for part, counters in self._counters.items()
            }
            seconds = self._energy.seconds + now - self._read_at
            self._energy = dataclasses.replace(self._energy, seconds=seconds, **joules)
            self._read_at = now
            with contextlib.suppress(OSError):
                self._keep(self._energy)

    def _run(self) -> None:
        while not self._ending.wait(READ_SECONDS):
            self.read()


class _Counter:
    """A counter that only grows, but for one that wraps."""

    def __init__(
        self, read: Callable[[], int], *, joules_per_unit: float, wraps_at: int = 0
    ) -> None:
        """Read it a first time, which raises where it cannot be read."""
        self._read, self._joules_per_unit, self._wraps_at = read, joules_per_unit, wraps_at
        self._last = read()

    def joules(self) -> float:
        """Return what was used since the last reading."""
        try:
            now = self._read()
        except Exception:  # of a library of others, too: the next reading has it all
            return 0.0
        used = now - self._last
        if used < 0:  # it has wrapped, or begun anew with its driver
            used = max(0, used + self._wraps_at)
        self._last = now
        return used * self._joules_per_unit


def _cpu_counters() -> list[_Counter]:
    """Return the counters of the CPU packages: not of their parts or the platform."""
    counters = []
    for zone in POWERCAP.glob("intel-rapl:*"):
        with contextlib.suppress(OSError, ValueError):  # most users may not read them
            if (zone / "name").read_text(encoding="utf-8").startswith("package"):
                read = functools.partial(_number, zone / "energy_uj")
                most = _number(zone / "max_energy_range_uj")
                counters.append(_Counter(read, joules_per_unit=1e-6, wraps_at=most))
    return counters


def _gpu_counters() -> list[_Counter]:
    """Return the counters of the GPUs; none where one of them has none."""
    try:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
        gpus = map(nvml.nvmlDeviceGetHandleByIndex, range(nvml.nvmlDeviceGetCount()))
        reads = [functools.partial(nvml.nvmlDeviceGetTotalEnergyConsumption, gpu) for gpu in gpus]
        return [_Counter(read, joules_per_unit=1e-3) for read in reads]
    except Exception:  # pynvml is not installed; no driver; a GPU without a counter
        return []


def _number(path: Path) -> int:
    return int(path.read_text(encoding="utf-8"))
