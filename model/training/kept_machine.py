"""The speed measurement of this machine, cached between runs: it takes 3 to 4 s of a core.

It is kept for a day in the cache folder, keyed by processor, torch's version, what was asked and
the measuring code. The file's contents are checked; a folder that cannot be written is ignored.
"""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import platform
import re
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from model.system.files import cache_folder, read_regular, write_text
from model.system.json_schema import parsed
from model.training.cost import WORK_KINDS
from model.training.speed import Machine

MAX_AGE_SECONDS = 86_400.0
TOLERANCE = 4 / 3
"""Factor, either way, by which epochs may differ from those just after the measurement."""
_CPUINFO = Path("/proc/cpuinfo")
_PROCESSOR = re.compile(r"(?:vendor_id|cpu family|model|model name|flags|Features|CPU .*)\s*:")
_MODEL = Path(__file__).parents[1]
_SOURCES = (
    *("training/speed.py", "training/cost.py", "network/precision.py"),
    *("network/kernels/tiles.h", "network/kernels/lstm.cpp"),
)
_MAX_FILE_BYTES = 10_000
_MAX_SECONDS = 1.0
"""An upper bound on the seconds of one unit of any kind of work."""
_MAX_PROCESS_BYTES = 1 << 36


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Measurement:
    """The contents of the file.

    Attributes:
        measured_at: Seconds since 1970.
        machine: The measurement.
        ratio: Measured divided by predicted seconds of an epoch: the median over the trials of the
            first search after it. Parallel trials take longer than predicted, so it is not 1.
    """

    measured_at: float
    machine: Machine
    ratio: float | None = None


class KeptMachine:
    """The file of one measurement."""

    def __init__(self, *, clock: Callable[[], float] = time.time, **asked: Any) -> None:
        """Prepare without reading the file.

        Args:
            clock: Returns the seconds since 1970.
            asked: The arguments of `measure_machine`.
        """
        code = [(_MODEL / name).read_text(encoding="utf-8") for name in _SOURCES]
        versions = [_processor(), importlib.metadata.version("torch")]
        key = json.dumps([*versions, asked, *code], sort_keys=True)
        self._name = f"machine-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
        self._clock = clock

    def get(self) -> Machine | None:
        """Return the measurement if it is less than a day old; None if a new one is needed."""
        found = self._read()
        return None if found is None else found.machine

    def keep(self, machine: Machine) -> None:
        """Write a new measurement if possible."""
        self._write(_Measurement(measured_at=self._clock(), machine=machine))

    def compare(self, ratios: Sequence[float]) -> None:
        """Discard the measurement if epochs now differ by a third from those just after it.

        Args:
            ratios: Measured divided by predicted seconds of an epoch, for each trial of a search.
        """
        found = self._read()
        if found is None or not ratios:
            return
        ratio = statistics.median(ratios)
        if found.ratio is None:
            self._write(dataclasses.replace(found, ratio=ratio))
        elif not 1 / TOLERANCE < ratio / found.ratio < TOLERANCE:
            with contextlib.suppress(OSError):
                self._path().unlink()

    def _path(self) -> Path:
        return cache_folder() / self._name

    def _read(self) -> _Measurement | None:
        try:
            content = read_regular(self._path(), max_bytes=_MAX_FILE_BYTES)
            found: _Measurement = parsed(content, _Measurement, self._name)
        except (OSError, ValueError):
            return None
        seconds = found.machine.speed.seconds
        is_possible = (
            0 <= self._clock() - found.measured_at < MAX_AGE_SECONDS
            and len(seconds) == len(WORK_KINDS)
            and all(0 <= each < _MAX_SECONDS for each in seconds)
            and any(seconds)
            and 0 < found.machine.process_bytes < _MAX_PROCESS_BYTES
            and found.machine.free_gpu_bytes is None
            and (found.ratio is None or found.ratio > 0)
        )
        return found if is_possible else None

    def _write(self, measurement: _Measurement) -> None:
        with contextlib.suppress(OSError):
            path = self._path()
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_text(path, json.dumps(dataclasses.asdict(measurement)))


def _processor() -> str:
    """Return the lines that distinguish one kind of processor from another."""
    try:
        first, _, _ = _CPUINFO.read_text(encoding="utf-8").partition("\n\n")
    except (OSError, ValueError):
        return f"{platform.machine()} {platform.processor()}"
    return "\n".join(line for line in first.splitlines() if _PROCESSOR.match(line))
