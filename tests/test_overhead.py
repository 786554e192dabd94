"""The parts of benchmarks/overhead.py whose figures can be worked out by hand."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.overhead_driver import Sample, summarised
from benchmarks.overhead_sampler import made_up_records
from benchmarks.overhead_search import SearchCost
from search_spaces import load_space
from tune.records import Status


def sample(second: int, num_workers: int, busy_seconds: float) -> Sample:
    return Sample(
        wall_seconds=100.0 + second,
        cpu_seconds=second / 4,
        search_seconds=float(second),
        num_workers=num_workers,
        num_ended=2 * second,
        busy_seconds=busy_seconds,
    )


def test_driver_is_measured_once_all_workers_have_started() -> None:
    samples = [sample(1, 2, 1.0), sample(5, 4, 8.0), sample(10, 4, 26.0), sample(15, 4, 43.0)]
    load = summarised(samples, num_workers=4)
    assert load is not None
    assert (load.start_seconds, load.seconds, load.num_trials) == (5.0, 10.0, 20)
    assert load.trial_seconds == pytest.approx(35 / 20)
    assert load.cpu_share == pytest.approx(0.25)
    assert load.waiting_share == pytest.approx(1 - 35 / 40)
    assert summarised(samples, num_workers=5) is None
    assert summarised(samples[:2], num_workers=4) is None


def test_training_share_is_of_all_workers() -> None:
    cost = SearchCost(
        num_trials=3,
        command_seconds=100.0,
        search_seconds=80.0,
        start_seconds=15.0,
        trained_seconds=120.0,
        num_workers=2,
    )
    assert cost.share_of_search == pytest.approx(0.75)
    assert cost.share_of_command == pytest.approx(0.6)


def test_made_up_trials_are_as_those_of_a_search() -> None:
    space = load_space("extended")
    records = made_up_records(space, 300)
    names = [record.baseline for record in records]
    assert names[:4] == [*(baseline.name for baseline in space.baselines), ""]
    pruned = [record for record in records if record.status == Status.PRUNED]
    assert 0.55 < len(pruned) / len(records) < 0.75
    assert {len(record.epochs) for record in pruned} <= set(space.budget.rungs(64))
    for record in records:
        whole = len(record.epochs) == record.config.epochs
        assert whole == (record.status == Status.COMPLETE)


def test_worker_of_a_stand_in_loads_no_torch() -> None:
    code = "import sys, benchmarks.stand_in; print('torch' in sys.modules)"
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"
