"""The parts of benchmarks/overhead.py whose figures can be worked out by hand."""

import pytest

from benchmarks.overhead_hooks import orders_share, report_seconds
from benchmarks.overhead_sampler import in_generations, made_up_records, sampler_cost
from benchmarks.overhead_search import SearchCost
from search_spaces import load_space
from tune.records.trial import Status


def test_training_share_is_of_all_workers() -> None:
    cost = SearchCost(
        num_trials=3,
        command_seconds=100.0,
        search_seconds=80.0,
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


@pytest.mark.slow
def test_hooks_and_orders_take_some_time_and_end() -> None:
    assert report_seconds(12) > 0
    assert 0 <= orders_share(0.5) < 10


def test_made_up_generations_are_full() -> None:
    space = load_space("full")  # four axes of numbers: eight trials a generation
    records = in_generations(made_up_records(space, 30), space)
    assert [record.generation for record in records[:10]] == [None] * 10
    assert [record.generation for record in records[10:]] == [0] * 8 + [1] * 8 + [2] * 4


def test_proposals_of_a_sampler_are_timed() -> None:
    open_seconds, seconds = sampler_cost(40, space_name="full", sampler="cmaes")
    assert open_seconds > 0 and len(seconds) == 10 and min(seconds) > 0
