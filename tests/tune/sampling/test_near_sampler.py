"""Proposals near a point that is known to be good."""

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState, create_trial

from search_spaces import load_space
from search_spaces.distributions import position
from tune.sampling.own_samplers import SPREAD, NearSampler, NumberedQMCSampler
from tune.sampling.samplers import NEAR_BEST_SHARE, SAMPLERS, TPE, make_sampler

AXES: dict[str, BaseDistribution] = {
    "size": IntDistribution(64, 1024, log=True),
    "dropout": FloatDistribution(0.0, 0.7),
    "batch": CategoricalDistribution((8, 16, 32, 64, 128)),
    "cleaning": CategoricalDistribution(("cased", "lower", "letters")),
}
SPACE = dataclasses.replace(load_space("full"), baselines=())
CENTER = {"size": 256, "dropout": 0.35, "batch": 32, "cleaning": "lower"}


def proposals(
    study: optuna.Study,
    number: int,
    *,
    center: Mapping[str, Any] | None = CENTER,
    moved_share: float = 1.0,
    axes: dict[str, BaseDistribution] = AXES,
) -> list[dict[str, Any]]:
    drawn = []
    for seed in range(number):
        study.sampler = NearSampler(
            center,
            axes=axes,
            moved_share=moved_share,
            generator=np.random.default_rng(seed),
            seed=seed,
        )
        drawn.append(study.ask(axes).params)
    return drawn


@pytest.fixture
def study() -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study()


def test_each_axis_moves_by_a_quarter_of_its_length(study: optuna.Study) -> None:
    drawn = proposals(study, 600)
    for axis in ("size", "dropout", "batch"):
        places = np.array([position(AXES[axis], point[axis]) for point in drawn])
        assert places.mean() == pytest.approx(0.5, abs=0.04), axis
        # A normal distribution that is cut at two standard deviations has 0.88 of its own.
        assert places.std() == pytest.approx(0.88 * SPREAD, abs=0.03), axis


@pytest.mark.slow
def test_names_are_drawn_anew_all_alike(study: optuna.Study) -> None:
    axes: dict[str, BaseDistribution] = {
        "cleaning": CategoricalDistribution(("cased", "lower", "letters")),
        **{f"dropout {number}": FloatDistribution(0.0, 1.0) for number in range(9)},
    }
    center = {axis: 0.5 for axis in axes} | {"cleaning": "cased"}
    drawn = proposals(study, 2_000, center=center, axes=axes)
    shares = Counter(point["cleaning"] for point in drawn)
    # One axis in ten surely moves; else a quarter is drawn anew, of which a third is as it was.
    for name in ("lower", "letters"):
        assert shares[name] / 2_000 == pytest.approx(0.1 / 2 + 0.9 * SPREAD / 3, abs=0.02)


def test_the_point_itself_is_not_proposed_again(study: optuna.Study) -> None:
    axes: dict[str, BaseDistribution] = {
        "layers": IntDistribution(1, 3),
        "cleaning": CategoricalDistribution(("cased", "lower")),
        "one": CategoricalDistribution((5,)),
        "batch": CategoricalDistribution((8, 16)),
    }
    center = {"layers": 1, "cleaning": "lower", "one": 5, "batch": 8}
    drawn = proposals(study, 100, center=center, moved_share=0.0, axes=axes)
    assert {sum(point[axis] != center[axis] for axis in axes) for point in drawn} == {1}
    moved = Counter(axis for point in drawn for axis in axes if point[axis] != center[axis])
    assert moved.keys() == {"layers", "cleaning", "batch"} and min(moved.values()) > 15
    fixed = {"one": axes["one"]}
    assert proposals(study, 1, center={"one": 5}, axes=fixed) == [{"one": 5}]


def test_half_of_the_axes_move_and_one_always_does(study: optuna.Study) -> None:
    axes = {axis: FloatDistribution(0.0, 1.0) for axis in "abcdef"}
    center = dict.fromkeys(axes, 0.2)
    moved = Counter(
        sum(value != 0.2 for value in point.values())
        for point in proposals(study, 600, center=center, moved_share=0.5, axes=axes)
    )
    assert min(moved) == 1
    # One for sure, each of five others with a half.
    assert sum(number * count for number, count in moved.items()) / 600 == pytest.approx(
        3.5, abs=0.2
    )
    (one,) = {tuple(point) for point in proposals(study, 1, center=center, axes=axes)}
    assert one == tuple(axes)


def test_axis_that_the_point_does_not_have_is_drawn_at_random(
    study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = {axis: distribution for axis, distribution in AXES.items() if axis != "dropout"}
    for seed, point in enumerate(proposals(study, 5, center={"dropout": 0.35})):
        assert point.pop("dropout") != 0.35
        study.sampler = optuna.samplers.RandomSampler(seed=seed)
        assert point == study.ask(others).params
    monkeypatch.delattr(optuna.samplers.RandomSampler, "sample_independent")
    assert len(proposals(study, 5)) == 5  # no axis of a point that has all


def add(study: optuna.Study, size: int, bits: list[float], state: TrialState) -> None:
    study.add_trial(
        create_trial(
            state=state,
            value=bits[-1] if state == TrialState.COMPLETE else None,
            params={**CENTER, "size": size},
            distributions=AXES,
            intermediate_values=dict(enumerate(bits, start=1)),
        )
    )


def test_best_so_far_is_the_lowest_of_any_epoch_and_no_failed_one(study: optuna.Study) -> None:
    def center() -> int:
        """Return the size of most proposals, each of which has three of four axes of it."""
        drawn = proposals(study, 40, center=None, moved_share=0.0)
        ((size, _),) = Counter(point["size"] for point in drawn).most_common(1)
        return int(size)

    (first,) = proposals(study, 1, center=None)
    assert first.keys() == AXES.keys()  # nothing is known yet
    add(study, 100, [3.0, 2.0], TrialState.COMPLETE)
    assert center() == 100
    add(study, 200, [1.9, 2.5], TrialState.PRUNED)
    assert center() == 200
    add(study, 300, [1.0], TrialState.FAIL)
    assert center() == 200
    add(study, 400, [1.5], TrialState.RUNNING)
    assert center() == 400


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_third_of_what_tpe_proposes_lies_near_the_best(name: str) -> None:
    kinds = Counter[str]()
    for number in range(SPACE.budget.trials):
        sampler = make_sampler(name, SPACE, seed=0, number=number, num_ended=number)
        kinds["near" if isinstance(sampler, NearSampler) else "other"] += 1
    near = 10 + (SPACE.budget.trials - 10) * NEAR_BEST_SHARE if name in TPE else 0
    assert kinds["near"] == pytest.approx(near, abs=25)


@pytest.mark.parametrize("name", TPE)
def test_tpe_without_a_start_begins_with_a_quasi_random_point(name: str) -> None:
    base = dataclasses.replace(SPACE.base, hidden_size=4_096)
    space = dataclasses.replace(SPACE, base=base)
    sampler = make_sampler(name, space, seed=0, number=3, num_ended=3)
    assert isinstance(sampler, NumberedQMCSampler)
