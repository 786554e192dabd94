import itertools
import json
from pathlib import Path
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

from model.config import CELLS, OPTIMIZERS, TrialConfig
from model.errors import ConfigError
from search_spaces import SPACE_NAMES, Baseline, Budget, SearchSpace, load_space
from search_spaces.distributions import (
    at_position,
    contains,
    distance,
    extremes,
    is_ordered,
    nearest,
    position,
)
from search_spaces.narrow import fixed
from search_spaces.random_configs import random_configs

DOCUMENTED_AXES = {"epochs", "hidden_size", "batch_size", "dropout", "num_layers", "cleaning"}


def space(**changes: object) -> SearchSpace:
    values: dict[str, object] = {
        "name": "test",
        "description": "for tests",
        "base": TrialConfig(epochs=2, dropout=0.0),
        "distributions": {"epochs": IntDistribution(1, 3)},
        "budget": Budget(trials=2),
        **changes,
    }
    return SearchSpace(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SPACE_NAMES)
def test_shipped_space_builds_its_extremes_and_survives_json(name: str) -> None:
    loaded = load_space(name)
    assert loaded.name == name
    assert SearchSpace.from_dict(loaded.to_json()) == loaded
    for axis, distribution in loaded.distributions.items():
        for value in extremes(distribution):
            assert loaded.config({axis: value}).to_dict()[axis] == value


@pytest.mark.parametrize("name", ["full", "quick", "extended", "research"])
def test_axes_and_baselines(name: str) -> None:
    loaded = load_space(name)
    assert len(loaded.baselines) == 3
    if name in ("extended", "research"):
        assert loaded.distributions.keys() > DOCUMENTED_AXES
        assert set(loaded.distributions) > DOCUMENTED_AXES
    else:
        assert set(loaded.distributions) == DOCUMENTED_AXES


def test_baselines_of_full_are_the_documented_experiments() -> None:
    configs = [load_space("full").config(b.params) for b in load_space("full").baselines]
    assert [(c.num_layers, c.hidden_size, c.batch_size, c.epochs, c.dropout, c.cleaning)
            for c in configs] == [
        (1, 256, 128, 20, 0.2, "lower"),
        (2, 256, 64, 30, 0.2, "lower"),
        (2, 256, 64, 40, 0.2, "letters"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["full", "quick", "extended", "research"])
def test_samples_lie_inside_and_reach_both_bounds(name: str) -> None:
    loaded = load_space(name)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen: dict[str, set[object]] = {axis: set() for axis in loaded.distributions}
    for _ in range(200):
        params = study.ask(dict(loaded.distributions)).params
        loaded.config(params)
        for axis, value in params.items():
            seen[axis].add(value)
    for axis, distribution in loaded.distributions.items():
        assert _reached(distribution, seen[axis]), axis


def _reached(distribution: BaseDistribution, values: set[object]) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return values == set(distribution.choices)
    if isinstance(distribution, IntDistribution) and distribution.high - distribution.low < 10:
        return {distribution.low, distribution.high} <= values
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    return all(distribution.low <= v <= distribution.high for v in values)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        (
            {"distributions": {"epoch": IntDistribution(1, 3)}},
            "unknown axis 'epoch'; did you mean",
        ),
        ({"distributions": {"seed": IntDistribution(1, 3)}}, "it cannot be an axis"),
        ({"distributions": {"epochs": (1, 3)}}, "must be an Optuna distribution"),
        ({"distributions": {"epochs": IntDistribution(0, 3)}}, "epochs must be at least 1, got 0"),
        ({"distributions": {"dropout": FloatDistribution(0, 1)}}, "dropout must be in 0 <= p < 1"),
        (
            {"distributions": {"reports_per_epoch": CategoricalDistribution((1, 4))}},
            "reports_per_epoch must be the base's for all trials",
        ),
        ({"distributions": {}}, "must have an axis or a baseline"),
        (
            {"distributions": {"cleaning": CategoricalDistribution(("cased", "upper"))}},
            "unknown cleaning 'upper'",
        ),
        (
            {"baselines": (Baseline(name="b", params={"epochs": 9}),)},
            "epochs must be in 1 to 3, got 9",
        ),
        (
            {
                "distributions": {"epochs": IntDistribution(1, 5, step=2)},
                "baselines": (Baseline(name="b", params={"epochs": 4}),),
            },
            "epochs must be in 1 to 5, in steps of 2, got 4",
        ),
        ({"baselines": (Baseline(name="b", params={}),)}, "must set the axis epochs"),
        (
            {"baselines": (Baseline(name="b", params={"epochs": 1}),) * 2},
            "each baseline must have its own name, got two 'b'",
        ),
        ({"name": ""}, "a space must have a name, got ''"),
        ({"conditions": {"dropout": ("epochs", 1)}}, "unknown axis of a condition 'dropout'"),
        ({"conditions": {"epochs": ("epochs", 1)}}, "must name an axis before it"),
        (
            {"conditions": {"epochs": "dropout"}},
            r"must be \(axis, its value or a tuple of values\)",
        ),
        (
            {
                "distributions": {
                    "epochs": IntDistribution(1, 3),
                    "dropout": FloatDistribution(0, 0.5),
                },
                "conditions": {"dropout": ("epochs", 4)},
            },
            "the condition of dropout must be a value of epochs: 1 to 3, got 4",
        ),
    ],
)
def test_impossible_space_is_refused(changes: dict[str, object], rule: str) -> None:
    with pytest.raises(ConfigError, match=rule):
        space(**changes)


@pytest.mark.parametrize("name", ["epochs", "seed"])
def test_trials_are_compared_within_axes_of_choices_alone(name: str) -> None:
    with pytest.raises(
        ConfigError, match=f"compare_within must name axes with choices, got '{name}'"
    ):
        space(budget=Budget(trials=2, compare_within=(name,)))


def test_groups_are_those_that_a_trial_can_have() -> None:
    extended = load_space("extended")
    assert extended.groups() == [("char",), ("word",)]
    assert fixed(extended, "unit=word").groups() == [("word",)]
    assert load_space("full").groups() == [()]
    both = Budget(trials=2, compare_within=("batch_size", "regime"))
    axes = {"batch_size": CategoricalDistribution((4, 8, 16))}
    window = Baseline(name="b", params={"batch_size": 8, "regime": "window"})
    grouped = space(budget=both, distributions=axes, baselines=(window,))
    assert grouped.groups() == [(4, "stream"), (8, "stream"), (16, "stream"), (8, "window")]


def test_groups_survive_json_and_a_space_from_before_them_has_none() -> None:
    values = json.loads(json.dumps(load_space("extended").to_json()))
    assert SearchSpace.from_dict(values) == load_space("extended")
    del values["budget"]["compare_within"]
    assert SearchSpace.from_dict(values).budget.compare_within == ()


def test_smallest_batch_of_extended_is_half_of_that_of_full() -> None:
    smallest = [min(load_space(name).values("batch_size")) for name in ("full", "extended")]
    assert smallest == [8, 4]


def test_what_a_space_takes_for_its_value_optuna_takes_too() -> None:
    """Once a base between an axis's steps ended the search's report with a traceback."""
    axes: dict[str, BaseDistribution] = {
        "epochs": IntDistribution(1, 9, step=2),
        "hidden_size": IntDistribution(64, 256, log=True),
        "dropout": FloatDistribution(0.0, 0.6, step=0.1),
        "learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
    }
    for epochs, dropout in itertools.product((0, 1, 2, 3, 9, 10), (0.1, 0.15, 0.3, 0.6)):
        base = TrialConfig(epochs=max(epochs, 1), hidden_size=100, dropout=dropout)
        point = {axis: getattr(base, axis) for axis in axes}
        try:
            optuna.trial.create_trial(params=point, distributions=axes, value=1.0)
        except ValueError:
            point = {}
        assert space(base=base, distributions=axes).all_starts() == [point] * bool(point)


@pytest.mark.parametrize(
    ("axis", "one", "other", "apart"),
    [
        (IntDistribution(64, 1024, log=True), 64, 256, 0.5),
        (IntDistribution(1, 3), 3, 2, 0.5),
        (FloatDistribution(0.0, 0.4), 0.1, 0.2, 0.25),
        (FloatDistribution(0.2, 0.2), 0.2, 0.2, 0.0),
        (CategoricalDistribution((8, 16, 32, 64, 128)), 8, 32, 0.5),
        (CategoricalDistribution((128, 8, 64)), 128, 64, 0.5),
        (CategoricalDistribution(("cased", "lower", "letters")), "cased", "lower", 1.0),
        (CategoricalDistribution((None, 1)), None, 1, 1.0),
        (CategoricalDistribution((4,)), 4, 4, 0.0),
    ],
)
def test_distance_of_two_values(
    axis: BaseDistribution, one: object, other: object, apart: float
) -> None:
    assert distance(axis, one, other) == distance(axis, other, one) == pytest.approx(apart)
    assert distance(axis, one, one) == 0


@pytest.mark.parametrize(
    "axis",
    [
        IntDistribution(64, 1024, log=True),
        IntDistribution(1, 9, step=2),
        IntDistribution(3, 3),
        FloatDistribution(5e-4, 1e-2, log=True),
        FloatDistribution(0.0, 0.7),
        FloatDistribution(0.0, 0.6, step=0.1),
        CategoricalDistribution((8, 16, 32)),
        CategoricalDistribution((32, 8)),
    ],
)
def test_place_on_an_axis_and_back(axis: BaseDistribution) -> None:
    lowest, highest = at_position(axis, 0.0), at_position(axis, 1.0)
    for end, value in ((lowest, min(extremes(axis))), (highest, max(extremes(axis)))):
        assert end == (pytest.approx(value) if isinstance(value, float) else value)
    values = [at_position(axis, place) for place in np.linspace(0, 1, 101)]
    assert all(contains(axis, value) and type(value) is type(lowest) for value in values)
    for value in values:
        assert at_position(axis, position(axis, value)) == pytest.approx(value)


@pytest.mark.parametrize(
    ("axis", "value", "near"),
    [
        (IntDistribution(64, 1024, log=True), 0, 64),
        (IntDistribution(64, 1024, log=True), 10**9, 1024),
        (FloatDistribution(5e-4, 1e-2, log=True), 0.0, 5e-4),
        (FloatDistribution(5e-4, 1e-2, log=True), -1e300, 5e-4),
        (FloatDistribution(0.0, 0.6, step=0.1), 0.14, 0.1),
        (CategoricalDistribution((8, 16, 32)), 7, 8),
    ],
)
def test_value_that_an_axis_does_not_have_is_near_one_that_it_has(
    axis: BaseDistribution, value: float, near: float
) -> None:
    assert nearest(axis, value) == pytest.approx(near)


@pytest.mark.parametrize(
    ("choices", "value"), [(("cased", "lower"), "letters"), ((True,), False), (("none", 1), 2)]
)
def test_no_name_is_near_another(choices: tuple[Any, ...], value: object) -> None:
    with pytest.raises(ConfigError, match=f"must have one of {choices[0]}.*, got {value!r}"):
        nearest(CategoricalDistribution(choices), value)


@pytest.mark.parametrize(
    ("start", "rule"),
    [
        ({"epochs": 4}, "start 2: epochs must be in 1 to 3, got 4"),
        ({"epoch": 2}, "unknown axis of start 2 'epoch'; did you mean epochs"),
        ({"hidden_size": 8}, "unknown axis of start 2 'hidden_size'"),
        (2, "start 2 must map axes to values, got 2"),
    ],
)
def test_start_lies_inside_the_axes(start: object, rule: str) -> None:
    with pytest.raises(ConfigError, match=rule):
        space(starts=({"epochs": 3}, start))
    with pytest.raises(ConfigError, match="starts must be a tuple of mappings, got"):
        space(starts={"epochs": 3})


def test_baseline_without_a_name_is_refused() -> None:
    # A trial whose baseline is "" is none: every trial would have had its values.
    with pytest.raises(ConfigError, match="a baseline must have a name, got ' '"):
        Baseline(name=" ", params={"epochs": 1})


def test_values_of_a_conditional_axis_are_also_the_bases() -> None:
    conditional = space(
        distributions={"num_layers": IntDistribution(1, 2), "epochs": IntDistribution(1, 3)},
        conditions={"epochs": ("num_layers", 2)},
        base=TrialConfig(epochs=40),
    )
    assert conditional.values("epochs") == [40, 1, 3]
    assert conditional.values("num_layers") == [1, 2]


def test_two_ends_are_combined_only_where_their_condition_lets_them() -> None:
    # The window regime reads characters alone: the condition keeps words out of it.
    axes = {
        "regime": CategoricalDistribution(("window", "stream")),
        "unit": CategoricalDistribution(("char", "word")),
        "min_word_count": IntDistribution(2, 9),
    }
    base = TrialConfig(regime="window")
    conditions = {"unit": ("regime", "stream"), "min_word_count": ("unit", "word")}
    regimes = space(base=base, distributions=axes, conditions=conditions, baselines=())
    found = [
        (config.regime, config.unit, config.min_word_count)
        for config in regimes.corners(["min_word_count"])
    ]
    assert found == [
        ("window", "char", 5),
        ("stream", "char", 5),
        ("stream", "word", 2),
        ("stream", "word", 9),
    ]
    with pytest.raises(ConfigError, match="unit must be char in the window regime, got 'word'"):
        space(base=base, distributions=axes, conditions={}, baselines=())


CHAINED: dict[str, object] = {
    "base": TrialConfig(dropout=0.3),
    "distributions": {
        "num_layers": IntDistribution(1, 3),
        "dropout": CategoricalDistribution((0.0, 0.3)),
        "input_dropout": FloatDistribution(0.0, 0.5),
    },
    "conditions": {"dropout": ("num_layers", 2), "input_dropout": ("dropout", 0.3)},
    "baselines": (),
}


def test_condition_on_an_axis_that_a_trial_does_not_have_does_not_hold() -> None:
    chained = space(**CHAINED)
    values = chained.base.to_dict()  # its dropout is the base's where there are not two layers
    assert chained.point(values | {"num_layers": 1}) == {"num_layers": 1}
    assert set(chained.point(values | {"num_layers": 2})) == set(chained.distributions)


def test_corners_have_the_values_that_conditions_need() -> None:
    found = [(c.num_layers, c.dropout) for c in space(**CHAINED).corners(["dropout"])]
    assert {(2, 0.0), (2, 0.3)} <= set(found)  # 2 is no end of its axis


def test_conditions_that_make_too_many_corners_are_refused() -> None:
    """Each axis on both ends of the one before, so that all have all ends of all others."""
    integers = ("hidden_size", "num_layers", "batch_size", "sequence_length", "embedding_dim")
    axes: dict[str, BaseDistribution] = {name: IntDistribution(1, 2) for name in integers}
    axes |= {name: FloatDistribution(0.1, 0.5) for name in ("dropout", "input_dropout")}
    names = [*axes]
    conditions: dict[str, tuple[str, tuple[object, ...]]] = {
        axis: (before, (1, 2) if before in integers else (0.1, 0.5))
        for before, axis in itertools.pairwise(names)
    }
    cells = CategoricalDistribution([f"cells.py:Cell{number}" for number in range(1_000)])
    space(distributions=axes, conditions=conditions)
    with pytest.raises(ConfigError, match="axes to cell must have at most 100,000 corners"):
        space(
            distributions={**axes, "cell": cells},
            conditions={**conditions, "cell": ("input_dropout", (0.1, 0.5))},
        )


def test_pairs_of_axes_that_have_too_many_corners_in_all_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("search_spaces.space.MAX_CORNERS", 1_000)
    cells = CategoricalDistribution([f"cells.py:Cell{number}" for number in range(150)])
    axes = load_space("full").distributions  # each pair with the cells has few enough by itself
    with pytest.raises(ConfigError, match="pairs of axes must have at most 1,000 corners in all"):
        space(distributions={**axes, "cell": cells})


def test_points_of_a_small_space_are_listed_under_its_conditions() -> None:
    six = space(
        baselines=(),
        distributions={
            "num_layers": IntDistribution(1, 2),
            "dropout": FloatDistribution(0.1, 0.5, step=0.2),
            "learning_rate": CategoricalDistribution((0.01, 0.001)),
        },
        conditions={"learning_rate": ("num_layers", 2)},
    )
    points = six.points()
    assert points is not None and len(points) == 3 + 3 * 2 and six.max_trials() == 9
    assert {point["dropout"] for point in points} == {0.1, 0.3, 0.5}
    assert space(distributions={"dropout": FloatDistribution(0, 0.5)}).max_trials() is None
    assert load_space("full").max_trials() is None


def test_condition_may_name_several_values() -> None:
    deep = space(
        distributions={"num_layers": IntDistribution(1, 3), "dropout": FloatDistribution(0, 0.5)},
        conditions={"dropout": ("num_layers", (2, 3))},
    )
    assert [deep.exists("dropout", {"num_layers": layers}) for layers in (1, 2, 3)] == [0, 1, 1]
    read = SearchSpace.from_dict(json.loads(json.dumps(deep.to_json())))
    assert read == deep and read.exists("dropout", {"num_layers": 2})
    assert not read.exists("dropout", {"num_layers": 1})


def test_condition_holds_for_a_value_of_a_grid_however_it_was_computed() -> None:
    grid = space(
        distributions={
            "dropout": FloatDistribution(0.0, 0.5, step=0.1),
            "input_dropout": FloatDistribution(0.0, 0.5),
        },
        conditions={"input_dropout": ("dropout", 0.3)},
    )
    assert 0.1 * 3 != 0.3
    assert grid.exists("input_dropout", {"dropout": 0.1 * 3})
    assert grid.config({"dropout": 0.1 * 3}) == grid.config({"dropout": 0.3})
    points = [config.dropout for config in random_configs(grid, 100, seed=0)]
    assert set(points) == {0.0, 0.1, 0.2, 0.3, 0.4, 0.5}


def test_conditional_axis_belongs_to_a_point_only_where_it_exists() -> None:
    extended = load_space("extended")
    words = extended.base.to_dict() | {"unit": "word"}
    assert extended.point(words)["min_word_count"] == 5
    assert "min_word_count" not in extended.point(extended.base.to_dict())
    assert "min_word_count" not in extended.baselines[0].params


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"trials": 0}, "trials must be at least 1"),
        ({"trials": 10**12}, "trials must be at most 1,000,000, got 1,000,000,000,000"),
        ({"trials": 1, "time_budget_seconds": 0.0}, "time_budget must be above 0"),
        ({"trials": 1, "grace_period_epochs": 0}, "grace_period_epochs must be at least 1"),
        ({"trials": 1, "reduction_factor": 1}, "reduction_factor must be above 1"),
        ({"trials": 1e3}, r"trials must be int, got 1000\.0"),
        ({"trials": 1, "grace_period_epochs": 1.5}, r"grace_period_epochs must be int, got 1\.5"),
        ({"trials": 1, "reduction_factor": 2.5}, r"reduction_factor must be int, got 2\.5"),
        ({"trials": 1, "compare_within": "unit"}, "compare_within must be a tuple such as"),
        ({"trials": 1, "compare_within": (1,)}, "compare_within must be a tuple such as"),
        (
            {"trials": 1, "compare_within": ("units",)},
            "unknown field of compare_within 'units'; did you mean unit",
        ),
        (
            {"trials": 1, "time_budget_seconds": "60"},
            "time_budget_seconds must be a finite number",
        ),
    ],
)
def test_impossible_budget_is_refused(values: dict[str, int], rule: str) -> None:
    with pytest.raises(ConfigError, match=rule):
        Budget(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("import nowhere", "must be importable: .*ModuleNotFoundError"),
        ("x = = 1", "must be importable: .*SyntaxError"),
        ("raise SystemExit(3)", "must be importable: .*SystemExit"),
        ("", "must define SPACE as a SearchSpace: .* has nothing"),
        ("SPACE = 3", "must define SPACE as a SearchSpace: .* has int"),
        (
            "from optuna.distributions import IntDistribution\nIntDistribution(3, 1)",
            "must be importable: .*ValueError",
        ),
        (
            "from model.config import TrialConfig\nTrialConfig(hiden_size=3)",
            "importable: .*unknown TrialConfig field 'hiden_size'; did you mean hidden_size",
        ),
        (
            "from search_spaces import Budget\nBudget(trails=3)",
            "must be importable: .*unknown Budget field 'trails'; did you mean trials",
        ),
        ("int(bas=3)", "must be importable: .*TypeError: "),
    ],
)
def test_bad_space_file_is_refused(tmp_path: Path, code: str, rule: str) -> None:
    path = tmp_path / "my_space.py"
    path.write_text(code, encoding="utf-8")
    with pytest.raises(ConfigError, match=rule):
        load_space(str(path))


def test_unknown_space_gives_the_choices() -> None:
    with pytest.raises(ConfigError, match="unknown search space 'ful'; did you mean full"):
        load_space("ful")
    with pytest.raises(ConfigError, match="must exist, got nowhere"):
        load_space("nowhere.py")


def test_axes_of_research_exist_where_they_belong() -> None:
    research = load_space("research")
    values = research.base.to_dict()
    adamw, adam, asgd = (
        research.point({**values, "optimizer": optimizer}) for optimizer in OPTIMIZERS
    )
    assert {"weight_decay"} == adamw.keys() - adam.keys() and adam.keys() < adamw.keys()
    assert {"learning_rate"} == adam.keys() - asgd.keys()
    assert {"sgd_learning_rate"} == asgd.keys() - adamw.keys()
    only_adam = fixed(research, "optimizer=adam")
    assert only_adam.condition("learning_rate") is None and "weight_decay" not in only_adam.axes
    assert adamw["tie_weights"] is False and adamw["weight_dropout"] == 0.0
    starts = research.all_starts()
    assert [start["optimizer"] for start in starts].count("asgd") == 1
    assert {start["cell"] for start in starts} == set(CELLS)


@pytest.mark.parametrize(("said", "value"), [("true", True), ("False", False)])
def test_axis_of_true_and_false_is_fixed_by_its_word(said: str, value: bool) -> None:
    smaller = fixed(load_space("research"), f"tie_weights={said}")
    assert smaller.base.tie_weights is value and "tie_weights" not in smaller.distributions
    with pytest.raises(ConfigError, match="tie_weights must be in False, True, got 'yes'"):
        fixed(load_space("research"), "tie_weights=yes")


def test_true_and_false_lie_as_far_apart_as_names() -> None:
    both = CategoricalDistribution((False, True))
    assert distance(both, False, True) == 1.0 and not is_ordered(both)
    assert is_ordered(CategoricalDistribution((1, 2)))
