"""A search that is to end when it is settled ends there, and no other one."""

import dataclasses
import math
from types import SimpleNamespace
from typing import Any

import pytest

from hand_made_trials import record, search_ended
from tiny_search import run_command, trials_of, write_inputs
from tune import load_run
from tune.planning.settling import EXPONENT, LEAST_SHARE, expected_gain, why_settled
from tune.records.search_record import SearchRecord
from tune.records.study_file import StudySettings
from tune.records.trial import Status


def study(*, stops: bool = True, num_trials: int = 100, has_axes: bool = True) -> Any:
    return SimpleNamespace(
        settings=StudySettings(stop_when_settled=stops),
        num_trials=num_trials,
        space=SimpleNamespace(distributions={"dropout": None} if has_axes else {}),
    )


def course(slope: float, seconds: int = 400) -> list[tuple[float, float]]:
    return [(float(t), 2.0 + slope * t**-EXPONENT) for t in range(1, seconds + 1)]


def search(slope: float, num_ended: int) -> SearchRecord:
    """Trials of a value each, whose best falls as `course` has it; each takes a second."""
    values = [value for _, value in course(slope, num_ended)]
    trials = [record(n, [value], Status.COMPLETE) for n, value in enumerate(values)]
    for n, trial in enumerate(trials):
        trial.epochs[0] = dataclasses.replace(trial.epochs[0], search_seconds=n + 1.0)
    return SearchRecord(records=dict(enumerate(trials)))


@pytest.mark.parametrize("slope", [0.0, 0.5, 2.0])
def test_gain_is_that_of_the_course_it_is_fitted_to(slope: float) -> None:
    gain = slope * (400**-EXPONENT - 1_000**-EXPONENT)
    assert expected_gain(course(slope), 400.0, 1_000.0) == pytest.approx(gain, rel=0.02, abs=1e-9)
    assert expected_gain(course(slope), 400.0, 400.0) == 0.0


def test_gain_of_a_search_that_has_hardly_begun_is_not_known() -> None:
    assert expected_gain([], 400.0, 1_000.0) == math.inf
    assert expected_gain([(399.0, 2.0)], 400.0, 1_000.0) == math.inf


def test_search_ends_where_its_rest_is_noise() -> None:
    flat, steep = search(0.01, 40), search(2.0, 40)
    # By trials: 40 of 100.
    why = why_settled(study(), flat, 40.0, None)
    assert why.startswith("after 40 trials the rest would gain about 0.00")
    assert why_settled(study(), steep, 40.0, None) == ""
    # By the time budget, where that ends sooner.
    assert why_settled(study(), steep, 40.0, 0.1) != ""
    assert why_settled(study(num_trials=41), flat, 40.0, 1e6) != ""
    # Not before a quarter of it, and only where it is asked for.
    assert why_settled(study(num_trials=round(39 / LEAST_SHARE) * 2), flat, 40.0, None) == ""
    assert why_settled(study(stops=False), flat, 40.0, None) == ""
    assert why_settled(study(has_axes=False), flat, 40.0, None) == ""  # all are to be compared


def test_search_whose_trials_have_all_ended_is_not_settled() -> None:
    # What a user has added is still to come, or what waits at a rung to be promoted.
    flat = search(0.01, 40)
    assert why_settled(study(num_trials=40), flat, 40.0, None) == ""
    assert why_settled(study(num_trials=39), flat, 40.0, 1e6) == ""


def test_time_of_the_finalists_is_no_search_without_gain() -> None:
    steep = search(2.0, 40)
    assert why_settled(study(), steep, 40.0, None) == ""
    assert why_settled(study(), steep, 400.0, None) != ""  # nothing was found for 360 s
    steep.ended = search_ended(search_seconds=40.0, trials=40)
    # Its finalists took 350 s, and the session that goes on begins its first trial 10 s later.
    assert why_settled(study(), steep, 400.0, None) == ""
    steep.goes_on(400.0)
    assert steep.ended is None and steep.pauses == [(40.0, 400.0)]
    assert why_settled(study(), steep, 401.0, None) == ""
    known = len(steep.records)
    for n, trial in search(2.0, 60).records.items():
        if n >= known:
            late = trial.epochs[0].search_seconds + 360.0
            trial.epochs[0] = dataclasses.replace(trial.epochs[0], search_seconds=late)
            steep.records[n] = trial
    # As if it had never paused.
    for slope_of_time in (None, 0.1):
        paused = why_settled(study(), steep, 420.0, slope_of_time)
        assert paused == why_settled(study(), search(2.0, 60), 60.0, slope_of_time)


def test_seconds_of_a_search_are_those_without_its_pauses() -> None:
    twice = SearchRecord(pauses=[(100.0, 150.0), (200.0, 220.0)])
    for at, searched in ((0, 0), (90, 90), (120, 100), (150, 100), (210, 150), (230, 160)):
        assert twice.searched_seconds(float(at)) == searched


@pytest.mark.slow
@pytest.mark.long
def test_settled_search_confirms_its_winner_and_says_so(tiny_text: str) -> None:
    # Of 60 trials the best once came so late, on a busy machine, that nothing was settled.
    axes = '"embedding_dim": IntDistribution(4, 64),'
    flags = write_inputs(tiny_text, epochs=(2, 2), trials=240, axes=axes)
    done = run_command([*flags, "--stop-when-settled", "--finalist-seeds", "1", "--name", "soon"])
    assert done.returncode == 0, done.stderr
    assert 60 <= len(trials_of("soon")) < 240
    run = load_run("results/soon")
    assert run.study.ended.startswith("ended early: after ") and len(run.finalists) >= 1
    assert "the rest would gain about" in done.stdout
