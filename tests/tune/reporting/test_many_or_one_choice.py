"""Axes with one value, or with thousands, in the plan, the report and the page."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hand_made_run import curve, loaded_run
from model.config import TrialConfig
from search_spaces import Budget, SearchSpace
from search_spaces.distributions import MAX_CHOICES, describe
from tune.records.load import LoadedRun
from tune.records.trial import Status, TrialRecord
from tune.reporting.axes import axis_shares, constant_axes, num_best_tenth, partial_axes
from tune.reporting.contents import axis_importance
from tune.reporting.figures.axes import parallel_coordinates, slices


def run_of(
    axes: Mapping[str, BaseDistribution], values: list[dict[str, Any]], **space_values: Any
) -> LoadedRun:
    space = SearchSpace(
        name="mine",
        description="",
        base=TrialConfig(),
        budget=Budget(trials=len(values)),
        distributions=dict(axes),
        **space_values,
    )
    records = [
        TrialRecord(
            number=number,
            config=dataclasses.replace(TrialConfig(), **value),
            status=Status.COMPLETE,
            epochs=curve(number, [2.0 + abs(math.log10(value["learning_rate"]) + 2)]),
        )
        for number, value in enumerate(values)
    ]
    return loaded_run(records, space=space)


RATES = [10 ** (-4 + number / 10) for number in range(30)]


@pytest.mark.parametrize(
    ("axis", "distribution", "value"),
    [
        ("batch_size", CategoricalDistribution((16,)), 16),
        ("dropout", FloatDistribution(0.2, 0.2), 0.2),
        ("num_layers", IntDistribution(2, 2), 2),
        ("hidden_size", IntDistribution(8, 64), 32),  # no trial had another
    ],
)
def test_axis_of_one_value_has_no_importance_and_that_is_said(
    axis: str, distribution: BaseDistribution, value: float
) -> None:
    rate = FloatDistribution(1e-4, 1e-1, log=True)
    layers = IntDistribution(1, 3)
    other = (
        {"num_layers": layers} if axis != "num_layers" else {"batch_size": IntDistribution(8, 16)}
    )
    (name,) = other
    values = [
        {
            "learning_rate": each,
            axis: value,
            name: 1 + n % 3 if name == "num_layers" else 8 + n % 8,
        }
        for n, each in enumerate(RATES)
    ]
    run = run_of({"learning_rate": rate, axis: distribution, **other}, values)
    assert set(axis_shares(run, resamples=2)["axis"]) == {"learning_rate", name}
    assert constant_axes(run) == [axis]
    section = axis_importance(run)
    assert f"Left out because they took only one value: `{axis}`." in str(section.body[-1])
    assert f"`{axis}`" in section.caption
    alone = run_of({axis: distribution}, values)
    assert axis_shares(alone).empty


def test_importance_without_such_an_axis_says_nothing_of_it() -> None:
    run = run_of(
        {"learning_rate": FloatDistribution(1e-4, 1e-1, log=True)},
        [{"learning_rate": each} for each in RATES],
    )
    assert "Left out" not in str(axis_importance(run).body[-1])


WORDS = {
    "unit": CategoricalDistribution(("char", "word")),
    "min_word_count": IntDistribution(2, 10),
    "learning_rate": FloatDistribution(1e-4, 1e-1, log=True),
}


@pytest.mark.parametrize("period", [2, 4])
def test_axis_that_not_all_trials_have_has_no_importance_and_that_is_said(period: int) -> None:
    values = [
        {
            "learning_rate": each,
            "unit": "char" if n % period == 0 else "word",
            "min_word_count": 2 + n % 9 if n % period else 5,
        }
        for n, each in enumerate(RATES)
    ]
    run = run_of(WORDS, values, conditions={"min_word_count": ("unit", "word")})
    assert partial_axes(run) == ["min_word_count"] and constant_axes(run) == []
    shares = axis_shares(run, resamples=2)
    assert set(shares["axis"]) == {"learning_rate", "unit"}
    assert shares["share"].sum() == pytest.approx(1.0)
    section = axis_importance(run)
    said = "Left out because not all trials have them: `min_word_count`."
    assert said in str(section.body[-1]) and said in section.caption
    words = [{**value, "unit": "word"} for value in values]
    whole = run_of(WORDS, words, conditions={"min_word_count": ("unit", "word")})
    assert partial_axes(whole) == []
    assert "min_word_count" in set(axis_shares(whole)["axis"])


@pytest.mark.parametrize(("num_trials", "num_best"), [(30, 3), (40, 4), (41, 5)])
def test_too_few_best_trials_are_said_to_be_so(num_trials: int, num_best: int) -> None:
    rates = [10 ** (-4 + number / 20) for number in range(num_trials)]  # the last is the best
    run = run_of({"learning_rate": WORDS["learning_rate"]}, [{"learning_rate": r} for r in rates])
    assert num_best_tenth(run) == num_best
    section = axis_importance(run)
    said = f"The best tenth is {num_best} trials, too few for reliable shares."
    assert (said in str(section.body[-1])) == (said in section.caption) == (num_best < 5)


@pytest.mark.parametrize("number", [MAX_CHOICES + 1, 1_000, 20_000])
def test_thousands_of_choices_are_the_first_the_last_and_their_count(number: int) -> None:
    choices = tuple(range(1, number + 1))
    distribution = CategoricalDistribution(choices)
    assert describe(distribution) == f"1, …, {number} ({number:,} choices)"
    values = [
        {"learning_rate": each, "hidden_size": choices[(7 * n) % number]}
        for n, each in enumerate(RATES)
    ]
    run = run_of({"hidden_size": distribution}, values)
    pictures = [*slices(run), parallel_coordinates(run)]
    assert sum(len(str(picture.layout)) for picture in pictures) < 10_000
    (across,) = [picture.layout["xaxis"] for picture in slices(run)]
    had = sorted({value["hidden_size"] for value in values})
    assert across["categoryarray"] == [str(value) for value in had]
    texts = [note["text"] for note in pictures[-1].layout["annotations"]]
    assert {"1", str(number)} <= set(texts) and len(texts) == 4


def test_value_between_choices_is_at_the_nearest() -> None:
    """A time budget shortens a training to fewer epochs than any choice has."""
    values = [{"learning_rate": each, "epochs": 7 if n else 8} for n, each in enumerate(RATES)]
    run = run_of({"epochs": CategoricalDistribution((8, 16, 32))}, values)
    assert len(str(parallel_coordinates(run).layout))


def test_few_choices_are_all_named() -> None:
    assert describe(CategoricalDistribution(tuple(range(MAX_CHOICES)))).count(",") == (
        MAX_CHOICES - 1
    )
