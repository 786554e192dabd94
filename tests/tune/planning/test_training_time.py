"""How long trainings and baselines may be in a time budget, and when a baseline is proposed."""

import dataclasses
import math
from typing import Any

import pytest

from hand_made_trials import epoch_record
from model.config import TrialConfig
from model.scoring.objective import PreparedCorpus
from model.training.speed import MachineSpeed
from search_spaces import load_space
from tune.planning.estimate import Estimate
from tune.planning.study import Study
from tune.planning.training_time import (
    BaselinesBeside,
    allowed_seconds,
    baselines_seconds,
    has_baselines_beside,
    longest_seconds,
    num_settled,
    shortened,
    with_base_that_fits,
)
from tune.records.study_file import StudySettings
from tune.records.trial import Status, TrialRecord

QUICK = load_space("quick")
FIRST, SECOND, THIRD = (baseline.name for baseline in QUICK.baselines)


def study_of(finalists: int = 3, **budget: Any) -> Study:
    changed = dataclasses.replace(QUICK.budget, **{"time_budget_seconds": 100.0, **budget})
    return Study(
        space=dataclasses.replace(QUICK, budget=changed),
        corpus=None,  # type: ignore[arg-type]  # not looked at
        prepared=None,  # type: ignore[arg-type]
        run_path=None,  # type: ignore[arg-type]
        settings=StudySettings(finalists=finalists),
        command="",
    )


def record(
    number: int, baseline: str, epochs: int, epoch_seconds: float, status: Status
) -> TrialRecord:
    rows = [
        epoch_record(number, epoch, elapsed_seconds=epoch * epoch_seconds)
        for epoch in range(1, epochs + 1)
    ]
    config = dataclasses.replace(QUICK.base, epochs=30)
    return TrialRecord(number=number, config=config, baseline=baseline, status=status, epochs=rows)


def test_training_is_a_share_of_the_time_and_at_least_an_epoch() -> None:
    assert longest_seconds(study_of(), 1) == pytest.approx(70 / 4)
    assert longest_seconds(study_of(), 2) == pytest.approx(70 / 2)
    assert longest_seconds(study_of(), 64) == pytest.approx(70 / 2)
    assert longest_seconds(study_of(finalists=0), 2) == pytest.approx(100 / 2)
    assert longest_seconds(study_of(time_budget_seconds=None), 2) == math.inf
    config = TrialConfig(epochs=30)
    assert shortened(config, epoch_seconds=2.0, seconds=60.0) == config
    assert shortened(config, epoch_seconds=2.0, seconds=19.9).epochs == 9
    assert shortened(config, epoch_seconds=20.0, seconds=19.9).epochs == 1


def test_base_has_less_dropout_where_it_is_given_fewer_epochs() -> None:
    study = study_of(finalists=0)  # a training may take 50 s
    study = dataclasses.replace(study, space=load_space("full"))
    budget = dataclasses.replace(study.space.budget, time_budget_seconds=100.0)
    study = dataclasses.replace(study, space=dataclasses.replace(study.space, budget=budget))
    base = study.space.base

    def dropout(of: Study, epoch_seconds: float) -> float:
        found = with_base_that_fits(of, epoch_seconds=lambda config: epoch_seconds, concurrent=2)
        return found.space.base.dropout

    assert (base.epochs, base.dropout) == (15, 0.5)
    assert dropout(study, 1.0) == 0.5  # all of its epochs fit
    assert dropout(study, 10.0) == pytest.approx(0.5 * 5 / 15)
    without_budget = study_of(time_budget_seconds=None)
    assert dropout(without_budget, 10.0) == without_budget.space.base.dropout
    own_space = dataclasses.replace(study.space, most_chars=None)
    assert dropout(dataclasses.replace(study, space=own_space), 10.0) == 0.5
    resumed = dataclasses.replace(study, earlier=object())  # type: ignore[arg-type]
    assert dropout(resumed, 10.0) == 0.5


def test_what_one_baseline_leaves_of_its_part_the_others_have() -> None:
    parts = allowed_seconds(QUICK, [], 60.0)
    assert parts == {FIRST: 20.0, SECOND: 20.0, THIRD: 20.0}
    short = record(1, FIRST, 4, 1.0, Status.COMPLETE)
    assert allowed_seconds(QUICK, [short], 60.0) == {FIRST: 20.0, SECOND: 28.0, THIRD: 28.0}
    # One that runs may use all of its part; one that was cut off has used what it has.
    running = dataclasses.replace(short, status=Status.RUNNING)
    assert allowed_seconds(QUICK, [running], 60.0)[SECOND] == 20.0
    cut = record(1, FIRST, 3, 6.0, Status.STOPPED)
    assert allowed_seconds(QUICK, [cut], 60.0)[SECOND] == 21.0
    failed = record(1, FIRST, 0, 1.0, Status.FAILED)
    assert allowed_seconds(QUICK, [failed], 60.0)[SECOND] == 30.0


def beside(records: dict[int, TrialRecord], concurrent: int = 2, **budget: Any) -> BaselinesBeside:
    return BaselinesBeside(study_of(**budget), records, lambda: concurrent)


def test_base_comes_first_and_one_baseline_at_once() -> None:
    records: dict[int, TrialRecord] = {}
    asked = beside(records)
    assert asked.next(0) is None
    assert asked.next(1) == FIRST
    assert asked.next(2) is None  # it has not begun yet
    records[1] = record(1, FIRST, 1, 1.0, Status.RUNNING)
    assert asked.next(3) is None
    records[1].status = Status.STOPPED
    assert asked.next(4) == SECOND
    records[4] = record(4, SECOND, 1, 1.0, Status.COMPLETE)
    assert asked.next(5) == THIRD
    records[5] = record(5, THIRD, 1, 1.0, Status.DIVERGED)
    assert asked.next(6) is None


def test_two_baselines_at_once_have_eight_workers() -> None:
    asked = beside({}, concurrent=8, trials=100)
    assert [asked.next(number) for number in range(5)] == [None, FIRST, SECOND, None, None]


def test_no_baseline_is_missing_where_few_trials_are_asked_for() -> None:
    asked = beside({}, trials=4)
    assert [asked.next(number) for number in range(4)] == [None, FIRST, SECOND, THIRD]


def test_base_comes_first_however_few_trials_are_asked_for() -> None:
    asked = beside({}, trials=3)
    # There is no room for the third.
    assert [asked.next(number) for number in range(4)] == [None, FIRST, SECOND, None]
    assert beside({}, trials=1).next(0) is None
    # Without a base inside the axes there is nothing that must come before them.
    base = dataclasses.replace(QUICK.base, hidden_size=4_096)
    study = study_of(trials=3)
    study = dataclasses.replace(study, space=dataclasses.replace(study.space, base=base))
    asked = BaselinesBeside(study, {}, lambda: 2)
    assert [asked.next(number) for number in range(3)] == [FIRST, SECOND, THIRD]


def test_another_time_budget_is_the_baselines_too() -> None:
    asked = beside({}, trials=3, time_budget_seconds=100.0)
    allowed = asked._allowed()[FIRST]
    budget = dataclasses.replace(asked.study.space.budget, time_budget_seconds=1_000.0)
    space = dataclasses.replace(asked.study.space, budget=budget)
    asked.study = dataclasses.replace(asked.study, space=space)
    assert asked._allowed()[FIRST] > 5 * allowed


def report(baseline: str, epoch: int, elapsed_seconds: float) -> dict[str, Any]:
    return {
        "config": {"baseline": baseline},
        "report": epoch,
        "elapsed_seconds": elapsed_seconds,
    }


def test_baseline_ends_before_the_epoch_that_would_exceed_its_part() -> None:
    part = 70 * 2 / 4 / 3
    assert baselines_seconds(study_of(), 2) == pytest.approx(3 * part)
    asked = beside({})
    assert not asked.has_had_its_time(report(FIRST, 4, 0.79 * part))
    assert asked.has_had_its_time(report(FIRST, 4, 0.81 * part))
    assert asked.has_had_its_time(report(FIRST, 1, 10 * part))
    assert not asked.has_had_its_time(report("", 1, 10 * part))


def test_baseline_goes_on_where_a_resumed_search_has_more_time() -> None:
    cut = record(1, FIRST, 3, 3.0, Status.STOPPED)
    others = {
        number: record(number, name, 1, 0.1, Status.COMPLETE)
        for number, name in ((2, SECOND), (3, THIRD))
    }
    records = {1: cut, **others, **{n: record(n, "", 1, 1.0, Status.PRUNED) for n in range(4, 11)}}
    same, more = study_of(), study_of(time_budget_seconds=200.0)
    assert num_settled(same, records.values(), 2) == same.num_trials
    assert num_settled(more, records.values(), 2) == more.num_trials - 1
    assert BaselinesBeside(same, records, lambda: 2).next(len(records)) is None
    assert BaselinesBeside(more, records, lambda: 2).next(len(records)) == FIRST


def test_resumed_baseline_runs_until_it_has_trained_on() -> None:
    """Ray starts it later: until then it is known, and stopped."""
    cut = record(1, FIRST, 3, 3.0, Status.STOPPED)
    records = {0: record(0, "", 1, 1.0, Status.COMPLETE), 1: cut}
    asked = beside(records, time_budget_seconds=200.0)
    assert [asked.next(2), asked.next(2)] == [FIRST, None]
    records[1] = dataclasses.replace(cut, status=Status.RUNNING)
    assert asked.next(3) is None
    records[1] = record(1, FIRST, 4, 3.0, Status.STOPPED)
    assert asked.next(4) == SECOND


def test_documented_space_has_nothing_beside_which_baselines_could_run() -> None:
    documented = dataclasses.replace(study_of(), space=load_space("documented"))
    assert not has_baselines_beside(documented)
    assert has_baselines_beside(study_of())
    assert not has_baselines_beside(study_of(time_budget_seconds=None))


def test_plan_has_no_training_longer_than_there_is_time_for(tiny_corpus: PreparedCorpus) -> None:
    """A training that would take an hour: the plan has many, each a quarter of the search."""
    speed = MachineSpeed(seconds=(1.0, 1e-2, 1e-8, 1e-5, 1e-5))
    study = dataclasses.replace(study_of(finalists=0), prepared=tiny_corpus)
    unlimited = dataclasses.replace(
        study_of(finalists=0, time_budget_seconds=None), prepared=tiny_corpus
    )
    whole = Estimate(unlimited, speed, 2)
    budget = whole.plan.seconds[1] / 8
    limited = dataclasses.replace(
        study,
        space=dataclasses.replace(
            study.space,
            budget=dataclasses.replace(study.space.budget, time_budget_seconds=budget),
        ),
    )
    plan = Estimate(limited, speed, 2).plan
    assert plan.seconds[1] <= budget
    assert plan.num_trials[1] >= 3
