"""The energy counters of CPU packages and GPUs: what is read, what wraps, what cannot be read."""

import sys
import threading
import types
from pathlib import Path

import pytest

from model.errors import ConfigError
from model.system import energy
from model.system.energy import Energy, EnergyMeter

WRAPS_AT = 1_000_000
NOTHING = Energy()


def zone(name: str, kind: str, content: str) -> Path:
    """Make a zone of powercap, and return its counter."""
    folder = energy.POWERCAP / name
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{kind}\n")
    (folder / "max_energy_range_uj").write_text(f"{WRAPS_AT}\n")
    counter = folder / "energy_uj"
    counter.write_text(f"{content}\n")
    return counter


@pytest.fixture(autouse=True)
def _made_up_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "POWERCAP", tmp_path / "powercap")
    monkeypatch.setitem(sys.modules, "pynvml", None)  # as where it is not installed


class Counters:
    """The millijoules of some GPUs, which a stand-in for pynvml reads; None has no counter."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *millijoules: int | None) -> None:
        self.millijoules = list(millijoules)
        module = types.ModuleType("pynvml")
        vars(module).update(
            nvmlInit=lambda: None,
            nvmlDeviceGetCount=lambda: len(self.millijoules),
            nvmlDeviceGetHandleByIndex=lambda index: f"GPU {index}",
            nvmlDeviceGetTotalEnergyConsumption=self.read,
        )
        monkeypatch.setitem(sys.modules, "pynvml", module)

    def read(self, handle: str) -> int:
        value = self.millijoules[int(handle.removeprefix("GPU "))]
        if value is None:
            raise RuntimeError("Not Supported")
        return value


def measured(before: Energy = NOTHING) -> tuple[EnergyMeter, list[Energy]]:
    """Return a meter and what it has kept, the latest last."""
    kept: list[Energy] = []
    return EnergyMeter(before, kept.append), kept


def test_packages_are_added_up_and_their_parts_are_not() -> None:
    first = zone("intel-rapl:0", "package-0", "500")
    second = zone("intel-rapl:1", "package-1", "900")
    others = [
        zone("intel-rapl:0:0", "core", "0"),
        zone("intel-rapl:0:1", "dram", "0"),
        zone("intel-rapl:2", "psys", "0"),
        zone("intel-rapl-mmio:0", "package-0", "0"),
    ]
    meter, kept = measured()
    first.write_text("200500\n")
    second.write_text("300900\n")
    for other in others:
        other.write_text("700000\n")
    meter.read()
    assert kept[-1].cpu_joules == pytest.approx(0.5)
    assert kept[-1].gpu_joules is None and kept[-1].seconds > 0


def test_counter_that_wraps_goes_on() -> None:
    counter = zone("intel-rapl:0", "package-0", "900000")
    meter, kept = measured()
    for value, joules in (("100000", 0.2), ("800000", 0.9), ("50000", 1.15)):
        counter.write_text(value)
        meter.read()
        assert kept[-1].cpu_joules == pytest.approx(joules)


@pytest.mark.parametrize("content", ["", "none", "nan", "1.5", "0x1f", "\x00"])
def test_counter_that_is_no_number_tells_nothing(content: str) -> None:
    zone("intel-rapl:0", "package-0", content)
    meter, kept = measured()
    with meter:
        meter.read()
    assert kept == []


@pytest.mark.parametrize("missing", ["energy_uj", "max_energy_range_uj", "name"])
def test_counter_that_cannot_be_read_tells_nothing(missing: str) -> None:
    path = zone("intel-rapl:0", "package-0", "5").with_name(missing)
    path.unlink()
    path.mkdir()  # which root cannot read either
    meter, kept = measured()
    with meter:
        meter.read()
    assert kept == []


def test_reading_that_fails_is_made_up_by_the_next() -> None:
    counter = zone("intel-rapl:0", "package-0", "0")
    meter, kept = measured()
    for content, joules in (("400000", 0.4), ("broken", 0.4), ("900000", 0.9)):
        counter.write_text(content)
        meter.read()
        assert kept[-1].cpu_joules == pytest.approx(joules)


def test_gpus_are_added_up_to_what_was_measured_before(monkeypatch: pytest.MonkeyPatch) -> None:
    counters = Counters(monkeypatch, 5_000, 7_000)
    meter, kept = measured(Energy(seconds=100.0, cpu_joules=8.0, gpu_joules=1.0))
    counters.millijoules = [6_000, 9_500]
    meter.read()
    assert kept[-1].gpu_joules == pytest.approx(1.0 + 1.0 + 2.5)
    assert kept[-1].cpu_joules == 8.0  # of an earlier session, on a machine that told
    assert kept[-1].seconds > 100.0
    counters.millijoules = [0, 9_500]  # the driver was loaded again
    meter.read()
    assert kept[-1].gpu_joules == pytest.approx(4.5)


@pytest.mark.parametrize("millijoules", [(), (None,), (5, None)])
def test_gpus_without_counters_tell_nothing(
    millijoules: tuple[int | None, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    Counters(monkeypatch, *millijoules)
    meter, kept = measured()
    with meter:
        meter.read()
    assert kept == []


def test_library_that_does_not_start_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    Counters(monkeypatch, 5)
    monkeypatch.delattr(sys.modules["pynvml"], "nvmlInit")
    meter, kept = measured()
    with meter:
        meter.read()
    assert kept == []


def test_open_meter_reads_by_itself_and_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "READ_SECONDS", 0.001)
    counter = zone("intel-rapl:0", "package-0", "0")
    kept: list[Energy] = []
    by_itself = threading.Event()

    def keep(now: Energy) -> None:
        kept.append(now)
        if threading.current_thread() is not threading.main_thread():
            by_itself.set()

    with EnergyMeter(NOTHING, keep):
        by_itself.wait()
        monkeypatch.setattr(energy, "READ_SECONDS", 1e6)
        counter.write_text("400000")
    assert kept[-1].cpu_joules == pytest.approx(0.4)
    assert not [thread for thread in threading.enumerate() if thread.name == "energy"]


def test_full_disk_does_not_end_what_is_measured() -> None:
    zone("intel-rapl:0", "package-0", "0")
    tries = []

    def keep(now: Energy) -> None:
        tries.append(now)
        raise OSError(28, "No space left on device")

    with EnergyMeter(NOTHING, keep) as meter:
        meter.read()
    assert len(tries) == 2


@pytest.mark.parametrize("name", ["seconds", "cpu_joules", "gpu_joules"])
def test_negative_numbers_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} must be at least 0, got -1"):
        Energy(**{name: -1.0})
