"""How long a search is said to take, and what it is said afterwards."""

import dataclasses
import re
from typing import Any

import pytest
from optuna.distributions import FloatDistribution, IntDistribution

from hand_made_trials import epoch_record
from model.config import TrialConfig
from model.scoring.letters import scoring_seconds
from model.scoring.objective import PreparedCorpus
from model.system.durations import format_range
from model.training.cost import TextSizes
from model.training.speed import MachineSpeed
from search_spaces import Baseline, Budget, SearchSpace, load_space
from search_spaces.random_configs import random_configs
from tune.job.plan import _finalists, asha_phrase, finalists_phrase, time_line
from tune.planning import simulation
from tune.planning.estimate import Estimate, Remaining
from tune.planning.study import Spent, Study
from tune.records.study_file import StudySettings
from tune.records.trial import Status, TrialRecord

pytestmark = pytest.mark.usefixtures("measured_machine")

SPEED = MachineSpeed(seconds=(1e-3, 1e-5, 1e-11, 1e-8, 1e-8))
QUICK = load_space("quick")


def study_of(corpus: PreparedCorpus, space: SearchSpace = QUICK, **budget: Any) -> Study:
    changed = dataclasses.replace(space.budget, **{"time_budget_seconds": None, **budget})
    return Study(
        space=dataclasses.replace(space, budget=changed),
        corpus=None,  # type: ignore[arg-type]  # not looked at
        prepared=corpus,
        run_path=None,  # type: ignore[arg-type]
        settings=StudySettings(finalists=0),
        command="",
    )


def with_finalists(study: Study, finalists: int) -> Study:
    return dataclasses.replace(study, settings=StudySettings(finalists=finalists))


def estimate_of(corpus: PreparedCorpus, concurrent: int = 2, **budget: Any) -> Estimate:
    return Estimate(study_of(corpus, **budget), SPEED, concurrent)


def record(
    estimate: Estimate, number: int, config: TrialConfig, epochs: int, ratio: float, status: Status
) -> TrialRecord:
    """A trial whose epochs took `ratio` times what was predicted."""
    seconds = ratio * estimate.epoch_seconds(config)
    rows = [
        epoch_record(number, epoch, elapsed_seconds=seconds * epoch)
        for epoch in range(1, epochs + 1)
    ]
    return TrialRecord(number=number, config=config, status=status, epochs=rows)


def seconds_left(estimate: Estimate, records: list[TrialRecord]) -> float:
    remaining = Remaining(estimate)
    for each in records:
        remaining.see(each)
        remaining.see(each)  # what is told twice counts once
    return remaining.seconds()


def test_what_is_left_is_never_less_than_nothing(tiny_corpus: PreparedCorpus) -> None:
    """A trial has trained longer than the timings gave it time for."""
    estimate = estimate_of(tiny_corpus, trials=4, time_budget_seconds=1e-6)
    config = dataclasses.replace(QUICK.base, epochs=10)
    long = [record(estimate, n, config, 9, 1.0, Status.RUNNING) for n in range(4)]
    long[1].baseline = QUICK.baselines[0].name
    remaining = Remaining(estimate)
    for each in long:
        remaining.see(each)
    assert remaining.seconds() == pytest.approx(3 * estimate.epoch_seconds(config) / 2)
    long[1].status, long[1].has_had_its_time = Status.STOPPED, True
    remaining.see(long[1])
    assert remaining.seconds() == pytest.approx(3 * estimate.epoch_seconds(config) / 2)


def test_baselines_that_have_not_begun_are_left(tiny_corpus: PreparedCorpus) -> None:
    """Beside a search they begin at any time, so a trial's number does not tell."""
    estimate = estimate_of(tiny_corpus, trials=10, time_budget_seconds=1e6)
    names = [baseline.name for baseline in QUICK.baselines]
    whole = sum(training.seconds for training in estimate._baselines.values())
    assert whole > 0
    missing = estimate.planned_seconds([], 4, []) - estimate.planned_seconds([], 4, names)
    assert missing == pytest.approx((whole - 3 * estimate._mean_seconds) / 2)


def test_configurations_are_drawn_from_the_space_by_the_seed() -> None:
    space = load_space("extended")
    first, again, other = (random_configs(space, 30, seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    assert all(64 <= config.hidden_size <= 1_024 for config in first)
    assert {config.num_layers for config in first} == {1, 2, 3}
    assert random_configs(load_space("documented"), 3, seed=0) == []
    assert len(random_configs(space, 2, seed=2**62)) == 2


@pytest.mark.slow
def test_more_trials_take_longer_and_more_places_shorter(tiny_corpus: PreparedCorpus) -> None:
    few, many = (estimate_of(tiny_corpus, trials=num).plan for num in (10, 100))
    low, high = many.seconds
    assert 0 < few.seconds[0] < low and few.seconds[1] < high
    assert many.num_trials == (100, 100)
    wide = estimate_of(tiny_corpus, trials=100, concurrent=10).plan
    assert wide.seconds[1] < high / 3
    assert estimate_of(tiny_corpus, trials=100).plan == many


def test_without_chance_the_plan_is_the_sum(tiny_corpus: PreparedCorpus) -> None:
    """Trials that run alone and in full: the range holds nothing but the error of the timings."""
    space = SearchSpace(
        name="two",
        description="",
        base=TrialConfig(),
        distributions={},
        baselines=tuple(
            Baseline(name=str(units), params={"hidden_size": units}) for units in (16, 64)
        ),
        budget=Budget(trials=2),
    )
    plan = Estimate(study_of(tiny_corpus, space, trials=2), SPEED, concurrent=1).plan
    sizes = TextSizes.of(tiny_corpus.encoded["lower"])
    configs = [dataclasses.replace(space.base, hidden_size=units) for units in (16, 64)]
    seconds = sum(c.epochs * SPEED.epoch_seconds(c, sizes) for c in configs)
    assert plan.seconds == pytest.approx((seconds / 1.25, seconds * 1.25))


def test_time_budget_bounds_the_plan_and_its_trials(tiny_corpus: PreparedCorpus) -> None:
    whole = estimate_of(tiny_corpus, trials=100).plan
    limit = whole.seconds[0] / 2
    plan = estimate_of(tiny_corpus, trials=100, time_budget_seconds=limit).plan
    assert plan.seconds == pytest.approx((limit, limit))
    low, high = plan.num_trials
    assert 0 < low < high < 100


def test_a_large_search_is_not_simulated_for_minutes(tiny_corpus: PreparedCorpus) -> None:
    played: list[int] = []

    def play(*arguments: Any) -> simulation.Simulated:
        played.append(1)
        return simulation.Simulated(1.0, 1, num_confirmations=0, reserved_seconds=0.0)

    for trials, times in ((100, 100), (1_000, 100), (10_000, 10), (1_000_000, 10)):
        played.clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(simulation.Simulation, "_once", play)
            simulation.Simulation(
                study=study_of(tiny_corpus, trials=trials), first=[], drawn=[], concurrent=2
            ).plan()
        assert len(played) == 2 * times  # the short end and the long


@pytest.mark.slow
def test_finalists_take_their_time(tiny_corpus: PreparedCorpus) -> None:
    study = study_of(tiny_corpus, trials=20)
    without, confirmed = (Estimate(with_finalists(study, num), SPEED, 2).plan for num in (0, 3))
    assert confirmed.seconds[0] > without.seconds[0]
    assert without.num_confirmations == (0, 0)
    assert min(confirmed.num_confirmations) == max(confirmed.num_confirmations) > 3


@pytest.mark.parametrize("share", [0.05, 0.2, 0.3, 0.5, 1.0])
def test_plan_runs_from_low_to_high_whatever_the_budget(
    tiny_corpus: PreparedCorpus, share: float
) -> None:
    """A short search may have room for finalists, and then last longer than a long one."""
    whole = Estimate(with_finalists(study_of(tiny_corpus, trials=4), 3), SPEED, 2).plan
    study = study_of(tiny_corpus, trials=4, time_budget_seconds=share * whole.seconds[1])
    plan = Estimate(with_finalists(study, 3), SPEED, 2).plan
    for low, high in (
        *(plan.seconds, plan.num_trials, plan.num_confirmations),
        plan.reserved_seconds,
    ):
        assert low <= high, plan


def test_scoring_the_test_passage_is_a_part_of_the_plan(tiny_corpus: PreparedCorpus) -> None:
    """Trainings that take no time: what is planned is the scoring of two cleanings' seeds."""
    at_once = MachineSpeed(seconds=(1e-12, 0.0, 0.0, 0.0, 0.0))
    study = with_finalists(study_of(tiny_corpus, trials=4), 1)
    letters = len(tiny_corpus.encoded["letters"].test.symbols)
    least = scoring_seconds(QUICK.base, 0, num_chars=letters, with_trend=False)
    assert Estimate(study, at_once, 1).plan.seconds[0] > 2 * 3 * least / simulation.ERROR


@pytest.mark.slow
def test_plan_says_if_the_finalists_are_in_it(tiny_corpus: PreparedCorpus) -> None:
    study = with_finalists(study_of(tiny_corpus, trials=20), 3)
    whole = Estimate(study, SPEED, 2).plan

    def said(limit: float | None, finalists: int = 3) -> str:
        limited = with_finalists(
            study_of(tiny_corpus, trials=20, time_budget_seconds=limit), finalists
        )
        return finalists_phrase(limited, Estimate(limited, SPEED, 2).plan)

    assert said(None) == ", including the finalists"
    num = whole.num_confirmations[0]
    assert said(10 * whole.seconds[1]) == f", including {num} trainings of finalists"
    assert re.fullmatch(
        r", including \d+ to \d+ trainings of finalists", said(whole.seconds[1] / 2)
    )
    assert said(whole.seconds[0] / 1_000) == "; the time budget leaves no time for finalists"
    assert said(None, finalists=0) == ""


@pytest.mark.slow
def test_plan_says_how_much_time_is_kept_for_the_finalists(tiny_corpus: PreparedCorpus) -> None:
    whole = Estimate(with_finalists(study_of(tiny_corpus, trials=20), 3), SPEED, 2).plan

    def said(limit: float | None, seeds: int = 3) -> tuple[str, tuple[float, float]]:
        study = study_of(tiny_corpus, trials=20, time_budget_seconds=limit)
        settings = StudySettings(finalists=3, finalist_seeds=seeds)
        study = dataclasses.replace(study, settings=settings)
        estimate = Estimate(study, SPEED, 2)
        return _finalists(study, estimate), estimate.plan.reserved_seconds

    unlimited = "finalists: the 3 best and the 3 baselines, retrained with 3 seeds each"
    assert said(None)[0] == unlimited
    limit = whole.seconds[1]
    line, (low, high) = said(limit)
    assert 0 < low <= high <= 0.5 * limit
    assert line == (
        f"finalists: the 3 best and the 3 baselines, retrained with 3 seeds each, the winner "
        f"first with 2 seeds; about {format_range(low, high)} reserved for them, updated as "
        f"trials are timed"
    )
    assert "the winner first with 1 seed; " in said(limit, seeds=1)[0]
    line, kept = said(limit / 1_000)
    assert kept == (0.0, 0.0) and line.endswith("; none of the time budget is reserved for them")


@pytest.mark.slow
def test_finalists_are_planned_in_what_a_short_search_leaves(tiny_corpus: PreparedCorpus) -> None:
    """They need more than is kept free for them, but the trials end long before the limit."""
    study = with_finalists(study_of(tiny_corpus, trials=4), 3)
    limit = 1.5 * Estimate(study, SPEED, 2).plan.seconds[1]
    limited = with_finalists(study_of(tiny_corpus, trials=4, time_budget_seconds=limit), 3)
    assert min(Estimate(limited, SPEED, 2).plan.num_confirmations) == 18


@pytest.mark.slow
def test_resumed_search_is_planned_without_what_has_ended(tiny_corpus: PreparedCorpus) -> None:
    study = with_finalists(study_of(tiny_corpus, trials=100), 3)
    whole = Estimate(study, SPEED, 2)
    resumed = Estimate(study, SPEED, 2, Spent(num_ended=98, seconds=1_000.0))
    assert 1_000 < resumed.plan.seconds[0] < 1_000 + whole.plan.seconds[0]
    assert resumed.plan.num_trials == (100, 100)
    said = time_line(study, 2, resumed)
    assert said.endswith(" more for 2 of 100 trials, 2 at once, including the finalists")
    ended = Estimate(study, SPEED, 2, Spent(num_ended=100, seconds=1_000.0))
    said = time_line(study, 2, ended)
    assert said.endswith(" more for the rest, including the finalists")
    # A user has added one to those that were asked for.
    more = Estimate(study, SPEED, 2, Spent(num_ended=101, seconds=1_000.0))
    assert time_line(study, 2, more).endswith(" more for the rest, including the finalists")


@pytest.mark.slow
def test_search_that_is_over_is_planned_without_its_other_trials(
    tiny_corpus: PreparedCorpus,
) -> None:
    study = with_finalists(study_of(tiny_corpus, trials=100, time_budget_seconds=600.0), 3)
    goes_on, is_over = (
        Estimate(study, SPEED, 2, Spent(num_ended=60, seconds=420.0, is_over=is_over))
        for is_over in (False, True)
    )
    assert goes_on.plan.num_trials[1] > 60 and is_over.plan.num_trials == (60, 60)
    assert is_over.plan.seconds[1] < goes_on.plan.seconds[1]
    assert " more for the rest, including 18 trainings of finalists" in time_line(
        study, 2, is_over
    )
    none_ended = Estimate(study, SPEED, 2, Spent(seconds=420.0, is_over=True))
    assert " more for the rest, " in time_line(study, 2, none_ended)


def test_ended_trials_correct_what_is_left(tiny_corpus: PreparedCorpus) -> None:
    estimate = estimate_of(tiny_corpus, trials=16)
    config = QUICK.base
    ratios = (1.9, 2.0, 30.0)
    ended = [
        record(estimate, number, config, 2, ratio, Status.COMPLETE)
        for number, ratio in enumerate(ratios)
    ]
    running = record(estimate, 3, config, 1, 9.0, Status.RUNNING)
    assert estimate.ratios([*ended, running]) == pytest.approx(ratios)
    as_planned = [record(estimate, number, config, 2, 1.0, Status.COMPLETE) for number in range(3)]
    left = seconds_left(estimate, [*as_planned, running])
    assert seconds_left(estimate, [*ended, running]) == pytest.approx(2 * left)  # their median
    # Between two: the one is as many times off as the other.
    pair = [ended[0], record(estimate, 1, config, 2, 1.9 * 4, Status.COMPLETE)]
    even = [record(estimate, number, config, 2, 1.0, Status.COMPLETE) for number in range(2)]
    assert seconds_left(estimate, pair) == pytest.approx(2 * 1.9 * seconds_left(estimate, even))
    everyone = [record(estimate, n, config, 2, 1.0, Status.COMPLETE) for n in range(16)]
    assert seconds_left(estimate, everyone) == 0
    assert seconds_left(estimate, []) > left
    values = estimate.compared_with(ended)
    assert values.measured_trials == 3
    assert values.measured_by_predicted[1] == pytest.approx(2.0)
    assert estimate.compared_with([]).measured_by_predicted is None
    assert values.memory_by_predicted is None  # no process could tell
    for number, each in enumerate(ended[:2]):
        each.peak_memory_bytes, each.estimated_memory_bytes = 50 + 100 * number, 100
    values = estimate.compared_with(ended)
    assert values.memory_trials == 2
    assert values.memory_by_predicted == pytest.approx([0.6, 1.0, 1.4])


def test_plan_says_where_asha_compares_trials_and_where_it_cannot(
    tiny_corpus: PreparedCorpus,
) -> None:
    def said(grace: int, epochs: int) -> str:
        axes = {"epochs": IntDistribution(2, epochs), "dropout": FloatDistribution(0.0, 0.5)}
        base = dataclasses.replace(QUICK.base, epochs=2, decay_fraction=0.5)
        space = dataclasses.replace(QUICK, base=base, distributions=axes, baselines=())
        return asha_phrase(
            study_of(tiny_corpus, space, grace_period_epochs=grace, reduction_factor=3)
        )

    assert said(1, 9) == "ASHA keeps about 1 in 3 at epochs 1, 3"  # after epoch 9 nothing is left
    assert said(2, 4) == "ASHA keeps about 1 in 3 at epochs 2"
    assert said(3, 4) == (
        "ASHA stops no trial: every learning rate decays before the first rung, epoch 3"
    )
    assert said(4, 4) == "ASHA stops no trial: none continues past the first rung, epoch 4"


@pytest.mark.slow
def test_plan_says_within_what_asha_compares(tiny_corpus: PreparedCorpus) -> None:
    study = study_of(tiny_corpus, load_space("extended"))
    assert asha_phrase(study).startswith("ASHA keeps about 1 in 3 of each unit at epochs 1, 3, ")
    plan = _finalists(with_finalists(study, 1), None)
    more = with_finalists(study, 1)
    pooled = dataclasses.replace(study.space.budget, compare_within=())
    less = dataclasses.replace(more, space=dataclasses.replace(more.space, budget=pooled))
    seconds = [Estimate(each, SPEED, concurrent=2).plan.seconds[0] for each in (more, less)]
    assert seconds[0] > seconds[1]  # a finalist of each unit
    assert plan.startswith(
        "finalists: the 2 best (including that of each unit) and the 3 baselines"
    )
    full = with_finalists(study_of(tiny_corpus, load_space("full")), 1)
    assert _finalists(full, None).startswith("finalists: the best and the 3 baselines")


def test_fewer_trials_than_have_begun_leave_no_time_below_zero(
    tiny_corpus: PreparedCorpus,
) -> None:
    estimate = estimate_of(tiny_corpus, trials=12)
    config = QUICK.base
    ended = [record(estimate, n, config, 1, 1.0, Status.PRUNED) for n in range(10)]
    running = [
        record(estimate, n, config, config.epochs - 1, 1.0, Status.RUNNING) for n in range(10, 14)
    ]
    left = seconds_left(estimate, [*ended, *running])
    assert left == pytest.approx(4 * estimate.epoch_seconds(config) / 2)


def test_running_baseline_is_trained_to_its_end(tiny_corpus: PreparedCorpus) -> None:
    estimate = estimate_of(tiny_corpus, concurrent=1, trials=4)
    config = dataclasses.replace(QUICK.base, epochs=4)
    ended = [record(estimate, n, config, 1, 1.0, Status.PRUNED) for n in range(3)]
    running = record(estimate, 3, config, 1, 1.0, Status.RUNNING)
    # Epochs 2 to 4, and a rung at 2 that a baseline passes.
    expected = (1 + 2 / 2) * estimate.epoch_seconds(config)
    assert seconds_left(estimate, [*ended, running]) == pytest.approx(expected)
    running.baseline = "experiment 1"
    expected = 3 * estimate.epoch_seconds(config)
    assert seconds_left(estimate, [*ended, running]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        ((0.2, 14), "5s to 15s"),
        ((61, 119), "1m to 2m"),
        ((1_475, 4_275), "25m to 1h10m"),
        ((595, 605), "10m"),
        ((3_600, 90_000), "1h to 25h"),
    ],
)
def test_ranges_in_words(seconds: tuple[float, float], text: str) -> None:
    assert format_range(*seconds) == text
