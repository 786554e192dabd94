"""Whether the report says that the best lie at an edge of the space."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hand_made_run import hand_made, loaded_run
from model.config import TrialConfig
from search_spaces import Budget, SearchSpace
from search_spaces.distributions import boundary_of
from tune.records.trial import TrialRecord
from tune.reporting.axes import boundary_notes

SPACE = SearchSpace(
    name="mine",
    description="",
    base=TrialConfig(),
    budget=Budget(trials=20),
    distributions={
        "epochs": IntDistribution(8, 64, log=True),
        "batch_size": CategoricalDistribution((8, 16, 32)),
        "dropout": FloatDistribution(0.0, 0.6),
        "learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
        "cleaning": CategoricalDistribution(("cased", "lower", "letters")),
    },
)
INSIDE: dict[str, Any] = {
    "epochs": 20,
    "batch_size": 16,
    "dropout": 0.3,
    "learning_rate": 1e-3,
    "cleaning": "lower",
}


def notes(
    values: Sequence[dict[str, Any]], baselines: int = 0, space: SearchSpace = SPACE
) -> list[str]:
    trained = hand_made()[3]
    records: list[TrialRecord] = []
    for number, changed in enumerate(values):
        record = trained.copy()
        record.number = number
        record.config = dataclasses.replace(TrialConfig(), **{**INSIDE, **changed})
        record.baseline = "experiment" if number < baselines else ""
        records.append(record)
    return boundary_notes(loaded_run(records, space=space))


def test_nothing_is_said_of_what_lies_inside_or_of_few() -> None:
    assert notes([{}] * 10) == []
    assert notes([{"epochs": 8}] * 4 + [{}] * 6) == []
    assert notes([{"epochs": 8}] * 9) == []
    assert notes([{"epochs": 8}] * 10, baselines=1) == []


def test_edges_are_named_with_how_many_lie_there() -> None:
    (note,) = notes([{"epochs": 8, "batch_size": 32}] * 5 + [{"epochs": 8}] * 2 + [{}] * 9)
    assert note == (
        "edge: most of the best trials have the lowest epochs, 8 (7 of 10) and the highest "
        "batch_size, 32 (5 of 10) that the space allows; a wider space may contain better ones."
    )


def test_axis_that_the_best_do_not_have_has_no_edge() -> None:
    cells = {"cell": CategoricalDistribution(("lstm", "mogrifier"))}
    rounds = {"mogrifier_rounds": IntDistribution(2, 5)}  # the base's value is 5
    space = dataclasses.replace(
        SPACE,
        distributions={**SPACE.distributions, **cells, **rounds},
        conditions={"mogrifier_rounds": ("cell", "mogrifier")},
    )
    assert notes([{}] * 10, space=space) == []
    (note,) = notes([{"cell": "mogrifier"}] * 10, space=space)
    assert "the highest mogrifier_rounds, 5 (10 of 10)" in note


def test_what_lies_beyond_a_choice_is_none_of_them() -> None:
    for choices, low, high in (
        ((0.0, 0.1, 0.2), -1, 0.4),
        ((1, 2, 4), 0, 8),
        ((-2, -1, 0), -3, 1),
    ):
        lowest, highest = boundary_of(CategoricalDistribution(choices))
        assert (lowest.beyond, highest.beyond) == (low, high)
    assert boundary_of(CategoricalDistribution((8, 16))) == []


@pytest.mark.parametrize(
    ("values", "is_said"),
    [
        ({"learning_rate": 1.04e-4}, True),  # a hundredth of two decades is 4.7 %
        ({"learning_rate": 1.06e-4}, False),
        ({"learning_rate": 9.7e-3}, True),
        ({"dropout": 0.595}, True),
        ({"dropout": 0.59}, False),
        ({"dropout": 0.0}, False),  # there is nothing below
        ({"cleaning": "cased"}, False),  # names have no order
    ],
)
def test_edge_of_an_axis_on_its_own_scale(values: dict[str, Any], is_said: bool) -> None:
    assert bool(notes([values] * 10)) is is_said
