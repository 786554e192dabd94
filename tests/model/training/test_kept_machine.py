"""A measurement is kept for a day, for the same question, as long as epochs agree with it."""

import json
from pathlib import Path
from typing import Any

import pytest

from model.system.files import cache_folder
from model.training.kept_machine import MAX_AGE_SECONDS, KeptMachine
from model.training.speed import Machine, MachineSpeed

SPEED = MachineSpeed(seconds=(1e-3, 0.0, 1e-11, 1e-8, 1e-8))
MACHINE = Machine(speed=SPEED, process_bytes=500_000_000, free_gpu_bytes=None)
ASKED: dict[str, Any] = {
    "precision": "auto",
    "largest_hidden_size": 64,
    "num_threads": 1,
    "use_gpu": False,
}


def kept(now: float = 1_000.0, **asked: Any) -> KeptMachine:
    return KeptMachine(clock=lambda: now, **{**ASKED, **asked})


def kept_file() -> Path:
    (path,) = cache_folder().iterdir()
    return path


def test_measurement_is_kept_for_a_day_and_what_was_asked() -> None:
    assert kept().get() is None
    kept().keep(MACHINE)
    assert kept().get() == MACHINE
    assert kept(1_000 + MAX_AGE_SECONDS - 1).get() == MACHINE
    assert kept(1_000 + MAX_AGE_SECONDS).get() is None
    assert kept(999).get() is None  # the clock was put back
    assert kept(num_threads=2).get() is None
    assert kept(largest_hidden_size=512).get() is None
    assert kept(precision="float32").get() is None


def test_another_processor_torch_or_code_is_another_measurement(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    monkeypatch.setattr("model.training.kept_machine._CPUINFO", cpuinfo)
    cpuinfo.write_text("model name : A\ncpu MHz : 1\nflags : avx\n\nmodel name : A", "utf-8")
    kept().keep(MACHINE)
    cpuinfo.write_text("model name : A\ncpu MHz : 2\nflags : avx\n\n", "utf-8")
    assert kept().get() == MACHINE
    cpuinfo.write_text("model name : A\ncpu MHz : 2\nflags : avx amx\n\n", "utf-8")
    assert kept().get() is None
    cpuinfo.unlink()
    assert kept().get() is None
    kept().keep(MACHINE)
    with monkeypatch.context() as patch:
        patch.setattr("importlib.metadata.version", lambda name: "99")
        assert kept().get() is None
    with monkeypatch.context() as patch:
        patch.setattr("model.training.kept_machine._SOURCES", ("training/cost.py",))
        assert kept().get() is None
    assert kept().get() == MACHINE


@pytest.mark.parametrize(
    ("later", "stays"), [(1.9, True), (1.6, True), (2.7, False), (1.4, False)]
)
def test_epochs_that_differ_by_a_third_from_the_first_forget_it(later: float, stays: bool) -> None:
    kept().keep(MACHINE)
    kept().compare([])
    kept().compare([9.0, 2.0, 1.0])  # the first search: beside others all takes longer
    kept().compare([later])
    assert kept().get() == (MACHINE if stays else None)


HOSTILE: list[dict[str, Any]] = [
    {"measured_at": "now"},
    {"measured_at": 1e300},
    {"machine": None},
    {"machine": {"speed": {"seconds": [1e-3]}, "process_bytes": 1, "free_gpu_bytes": None}},
    {"machine": {"speed": {"seconds": [-1.0, 0, 0, 0, 0]}, "process_bytes": 1}},
    *(
        {
            "machine": {
                "speed": {"seconds": seconds},
                "process_bytes": num_bytes,
                "free_gpu_bytes": gpu,
            }
        }
        for seconds, num_bytes, gpu in (
            ([-1e-3, 0, 0, 0, 1e-8], 1_000, None),
            ([0, 0, 0, 0, 0], 1_000, None),
            ([1e9, 0, 0, 0, 0], 1_000, None),
            ([1e-3, 0, 0, 0, 1e-8], 0, None),
            ([1e-3, 0, 0, 0, 1e-8], 1 << 60, None),
            ([1e-3, 0, 0, 0, 1e-8], 1_000, 1),
            (["1e-3", 0, 0, 0, 1e-8], 1_000, None),
        )
    ),
    {"ratio": 0.0},
    {"ratio": "1"},
]


@pytest.mark.parametrize("change", HOSTILE)
def test_what_cannot_be_is_measured_again(change: dict[str, Any]) -> None:
    kept().keep(MACHINE)
    values = json.loads(kept_file().read_bytes())
    kept_file().write_text(json.dumps({**values, **change}), encoding="utf-8")
    assert kept().get() is None
    kept().compare([1.0])  # nor is it looked at
    kept().keep(MACHINE)
    assert kept().get() == MACHINE


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"[]", b"\xff", b" " * 20_000])
def test_file_that_is_none_is_measured_again(content: bytes) -> None:
    kept().keep(MACHINE)
    kept_file().write_bytes(content)
    assert kept().get() is None


def test_link_is_not_followed(tmp_path: Path) -> None:
    kept().keep(MACHINE)
    path = kept_file()
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert kept().get() is None


def test_cache_that_cannot_be_written_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path("file").absolute()))
    kept().keep(MACHINE)
    kept().compare([1.0])
    assert kept().get() is None
