"""What a sampler sees of a long search, and that it does not see less of a short one."""

from collections.abc import Callable

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers import TPESampler
from optuna.trial import TrialState, create_trial

from tune.sampling.own_samplers import ERROR
from tune.sampling.samplers import make_thinning
from tune.sampling.thinned_study import ALWAYS_SHOWN, MAX_SHOWN, ThinnedStudy, Thinning

AXES = {"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)}


@pytest.fixture(autouse=True)
def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def study_of(num_trials: int, *, pruned_share: float = 0.6) -> optuna.Study:
    generator = np.random.default_rng(0)
    study = optuna.create_study()
    for _ in range(num_trials):
        params = {axis: float(generator.random()) for axis in AXES}
        value = (params["x"] - 0.7) ** 2 + (params["y"] - 0.2) ** 2
        is_pruned = generator.random() < pruned_share
        study.add_trial(
            create_trial(
                state=TrialState.PRUNED if is_pruned else TrialState.COMPLETE,
                value=None if is_pruned else value,
                params=params,
                distributions=AXES,
                intermediate_values={int(generator.integers(1, 9)): value},
            )
        )
    return study


def thinned() -> Callable[[optuna.Study], optuna.Study]:
    """Return what shows one search's study to its samplers."""
    thinning = Thinning()
    return lambda study: ThinnedStudy(study, thinning)


def proposals(
    study: optuna.Study, seen: Callable[[optuna.Study], optuna.Study], *, multivariate: bool
) -> list[dict[str, float]]:
    found = []
    for seed in range(5):
        study.sampler = TPESampler(seed=seed, multivariate=multivariate)
        trial = seen(study).ask()
        found.append({axis: trial.suggest_float(axis, 0.0, 1.0) for axis in AXES})
        study.tell(trial, state=TrialState.FAIL)
    return found


@pytest.mark.parametrize("multivariate", [False, True])
def test_short_search_is_seen_whole(multivariate: bool) -> None:
    plain = proposals(study_of(100), lambda study: study, multivariate=multivariate)
    assert proposals(study_of(100), thinned(), multivariate=multivariate) == plain


class _Seen(TPESampler):
    """Remembers what it is told of."""

    trials: tuple[optuna.trial.FrozenTrial, ...] = ()

    def sample_independent(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        param_name: str,
        param_distribution: optuna.distributions.BaseDistribution,
    ) -> float:
        _Seen.trials = tuple(study._get_trials(deepcopy=False))
        return float(super().sample_independent(study, trial, param_name, param_distribution))


@pytest.mark.parametrize("pruned_share", [0.6, 1.0])
def test_long_search_shows_its_best_an_even_part_and_all_that_run(pruned_share: float) -> None:
    study = study_of(2 * MAX_SHOWN, pruned_share=pruned_share)
    running = [study.ask() for _ in range(3)]
    study.sampler = _Seen(seed=0, multivariate=False)
    thinned()(study).ask().suggest_float("x", 0.0, 1.0)

    shown = {trial.number for trial in _Seen.trials}
    assert len(shown) == MAX_SHOWN + len(running) + 1
    assert {trial.number for trial in running} <= shown
    ended = [trial for trial in study.trials if trial.state.is_finished()]
    complete = sorted(
        (trial for trial in ended if trial.state == TrialState.COMPLETE),
        key=lambda trial: trial.value or 0.0,
    )
    pruned = sorted(
        (trial for trial in ended if trial.state == TrialState.PRUNED),
        key=lambda trial: max((step, -value) for step, value in trial.intermediate_values.items()),
        reverse=True,
    )
    best = [trial.number for trial in [*complete, *pruned][:ALWAYS_SHOWN]]
    assert shown.issuperset(best)
    assert [t.number for t in _Seen.trials] == sorted(shown)
    # Even in age: each half of the search has its half.
    assert sum(number < MAX_SHOWN for number in shown) == pytest.approx(MAX_SHOWN / 2, rel=0.15)


def test_long_search_still_finds_the_good_place() -> None:
    found = proposals(study_of(3 * MAX_SHOWN), thinned(), multivariate=False)
    assert np.mean([abs(point["x"] - 0.7) for point in found]) < 0.15
    assert np.mean([abs(point["y"] - 0.2) for point in found]) < 0.15


@pytest.mark.slow
def test_what_is_shown_does_not_depend_on_when_it_was_last_asked() -> None:
    """A resumed search asks for the first time after many trials."""
    thinning = Thinning()
    study = optuna.create_study()
    generator = np.random.default_rng(0)
    states = frozenset({TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING})
    running: list[optuna.Trial] = []
    for _ in range(2 * MAX_SHOWN):
        running.append(study.ask(dict(AXES)))
        running[-1].report(float(generator.random()), step=int(generator.integers(1, 9)))
        if len(running) > 4:  # they do not end in the order of their numbers
            trial = running.pop(int(generator.integers(len(running))))
            if generator.random() < 0.5:
                study.tell(trial, float(generator.random()))
            else:
                ends = (TrialState.PRUNED, TrialState.FAIL)
                study.tell(trial, state=ends[int(generator.integers(2))])
        step_by_step = thinning.shown(study.get_trials(deepcopy=False), states)
    at_once = Thinning().shown(study.get_trials(deepcopy=False), states)
    assert [trial.number for trial in step_by_step] == [trial.number for trial in at_once]
    assert {trial.number for trial in running} <= {trial.number for trial in at_once}


def test_trial_that_goes_on_as_another_is_as_if_it_had_never_been_there() -> None:
    study = study_of(3 * MAX_SHOWN)
    trials = study.get_trials(deepcopy=False)
    states = frozenset({TrialState.COMPLETE, TrialState.PRUNED})
    generator = np.random.default_rng(1)
    hidden = sorted(int(number) for number in generator.permutation(len(trials))[:MAX_SHOWN])
    at_once, step_by_step = Thinning(), Thinning()
    for number in hidden:
        at_once.hide(number)
    for ended in range(MAX_SHOWN, len(trials) + 1, 10):
        step_by_step.shown(trials[:ended], states)
        while hidden and hidden[0] < ended - 5:
            step_by_step.hide(hidden.pop(0))
    for number in hidden:
        step_by_step.hide(number)
    shown = at_once.shown(trials, states)
    assert [trial.number for trial in step_by_step.shown(trials, states)] == [
        trial.number for trial in shown
    ]
    assert len(shown) == MAX_SHOWN  # none of those that are hidden took a place


def test_pruned_trials_are_complete_to_a_sampler_that_knows_none() -> None:
    study = study_of(2_000)
    running = study.ask(AXES)
    thinning = Thinning(pruned_as_complete=True)
    trials = study.get_trials(deepcopy=False)
    ended = thinning.shown(trials, frozenset({TrialState.COMPLETE}))
    assert len(ended) == MAX_SHOWN
    assert {trial.state for trial in ended} == {TrialState.COMPLETE}
    was_pruned = [trial for trial in ended if trials[trial.number].state == TrialState.PRUNED]
    assert len(was_pruned) > MAX_SHOWN / 3
    for trial in was_pruned:
        (last,) = trials[trial.number].intermediate_values.values()
        assert trial.value == last and trials[trial.number].value is None
    # The best by value are all there, pruned or not.
    values = [last for trial in trials[:2_000] for last in trial.intermediate_values.values()]
    assert {trial.value for trial in ended} >= set(sorted(values)[:ALWAYS_SHOWN])
    shown = thinning.shown(trials, frozenset({TrialState.COMPLETE, TrialState.RUNNING}))
    assert shown[-1].number == running.number and shown[:-1] == ended


def test_sampler_that_is_new_is_shown_failed_trials_and_not_all_of_a_long_search() -> None:
    """It was shown none that failed, and all others."""
    study = study_of(2 * MAX_SHOWN)
    study.tell(study.ask(), state=TrialState.FAIL)
    failed = study.ask()
    failed.set_user_attr(ERROR, "out of memory")
    study.tell(failed, state=TrialState.FAIL)
    thinning = make_thinning("new")
    assert thinning is not None
    shown = thinning.shown(study.get_trials(deepcopy=False), frozenset(TrialState))
    assert len(shown) == MAX_SHOWN
    assert [trial.state for trial in shown if trial.number == failed.number] == [TrialState.PRUNED]
