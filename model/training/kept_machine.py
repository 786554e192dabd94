"""The measurement of this machine, kept from run to run: it takes 3 to 4 s of a core.

It is kept for a day in the cache folder, by processor, torch's version, what was asked and the
code that measured. What the file says is checked; a folder that cannot be written costs nothing.
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
"""Factor by which epochs may differ from those after the measurement, one way or the other."""
_CPUINFO = Path("/proc/cpuinfo")
_PROCESSOR = re.compile(r"(?:vendor_id|cpu family|model|model name|flags|Features|CPU .*)\s*:")
_SOURCES = ("speed.py", "cost.py")
_MAX_FILE_BYTES = 10_000
_MAX_SECONDS = 1.0
"""More than one of any kind of work takes."""
_MAX_PROCESS_BYTES = 1 << 36


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Measurement:
    """What the file holds.

    Attributes:
        measured_at: Seconds since 1970.
        machine: What was measured.
        ratio: Measured by predicted seconds of an epoch in the first search after it, the median
            of its trials. Trials side by side take longer than predicted, so it is not 1.
    """

    measured_at: float
    machine: Machine
    ratio: float | None = None


class KeptMachine:
    """The file of one measurement."""

    def __init__(self, *, clock: Callable[[], float] = time.time, **asked: Any) -> None:
        """Look for nothing yet.

        Args:
            clock: Returns the seconds since 1970.
            asked: As `measure_machine` is asked.
        """
        code = [Path(__file__).with_name(name).read_text(encoding="utf-8") for name in _SOURCES]
        versions = [_processor(), importlib.metadata.version("torch")]
        key = json.dumps([*versions, asked, *code], sort_keys=True)
        self._name = f"machine-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
        self._clock = clock

    def get(self) -> Machine | None:
        """Return what was measured within a day; None where it must be measured."""
        found = self._read()
        return None if found is None else found.machine

    def keep(self, machine: Machine) -> None:
        """Write a new measurement, if it can be written."""
        self._write(_Measurement(measured_at=self._clock(), machine=machine))

    def compare(self, ratios: Sequence[float]) -> None:
        """Forget the measurement if epochs differ by a third from those after it was made.

        Args:
            ratios: Measured by predicted seconds of an epoch, of each trial of a search.
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
    """Return what tells one kind of processor from another."""
    try:
        first, _, _ = _CPUINFO.read_text(encoding="utf-8").partition("\n\n")
    except (OSError, ValueError):
        return f"{platform.machine()} {platform.processor()}"
    return "\n".join(line for line in first.splitlines() if _PROCESSOR.match(line))
