"""benchmarks/scale.py: what is worked out from samples, and both of its tables, small."""

import subprocess
import sys

import numpy as np
import pytest

from benchmarks.scale_search import CURVES
from benchmarks.scale_stages import Sample, stages
from benchmarks.stand_in import Curves
from model.config import TrialConfig
from repository import ROOT


def sample(second: int, num_ended: int, busy_seconds: float) -> Sample:
    return Sample(
        wall_seconds=100.0 + second,
        cpu_seconds=second / 4,
        memory_bytes=1_000 + second,
        num_ended=num_ended,
        busy_seconds=busy_seconds,
        folder_bytes=500 * num_ended,
    )


def test_stages_are_from_one_number_of_ended_trials_to_the_next() -> None:
    samples = [sample(0, 0, 0.0), sample(5, 9, 18.0), sample(10, 21, 36.0), sample(15, 40, 55.0)]
    first, second = stages(samples, [10, 40, 90], num_workers=4)  # 90 did not end
    assert (first.num_ended, first.num_trials, first.seconds) == (21, 21, 10.0)
    assert (second.num_ended, second.num_trials, second.seconds) == (40, 19, 5.0)
    assert second.trial_seconds == pytest.approx(1.0)
    assert second.cpu_share == pytest.approx(0.25)
    assert second.cpu_seconds == pytest.approx(1.25 / 19)
    assert second.wait_seconds == pytest.approx(1 / 19)  # 20 s of four workers, of which 19 busy
    assert second.waiting_share == pytest.approx(0.05)
    assert second.waiting_share_at(60.0) == pytest.approx(1 / (19 * 60 + 1))
    assert (first.memory_bytes, second.memory_bytes) == (1_010, 1_015)
    assert second.folder_bytes == 500


def test_stand_in_reports_the_nearest_recorded_curve() -> None:
    curves = Curves.read(CURVES)
    assert curves.bits.shape == (len(curves.points), 40)
    small, large = (
        curves.of(TrialConfig(hidden_size=size, learning_rate=3e-3, seed=1)) for size in (16, 512)
    )
    assert small.min() > large.min() > 1.5
    again = curves.of(TrialConfig(hidden_size=16, learning_rate=3e-3, seed=2))
    assert 0 < np.abs(again - small).max() < 0.1


@pytest.mark.slow
def test_worker_of_a_stand_in_loads_no_torch() -> None:
    code = "import sys, benchmarks.stand_in; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def rows_of(*flags: str) -> list[list[str]]:
    command = [sys.executable, "-m", "benchmarks.scale", *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.slow
def test_driver_without_ray() -> None:
    flags = ("--told", "10", "40", "--measured", "8", "--workers", "4", "--sampler", "random")
    head, _, *rows = rows_of("--only", "loop", *flags)
    assert [row[0] for row in rows] == ["10", "40"]
    assert all(len(row) == len(head) and min(map(float, row[1:])) >= 0 for row in rows)


@pytest.mark.long
def test_search_on_ray_with_logical_gpus() -> None:
    flags = ("--workers", "4", "--trials", "4", "12", "--epoch-seconds", "0.2")
    head, _, *rows = rows_of("--only", "search", *flags)
    assert all(len(row) == len(head) for row in rows)
    assert int(rows[-1][0]) >= 12
