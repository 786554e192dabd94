"""Smaller spaces: `--fix`, and what a text does not fit."""

import dataclasses

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from model.config import TrialConfig
from model.errors import ConfigError
from model.text.cleaning import CLEANINGS
from search_spaces import Baseline, Budget, SearchSpace, load_space
from search_spaces.cells import with_cells
from search_spaces.long_text import for_text
from search_spaces.narrow import (
    at_most,
    fixed,
    with_layer_norm,
    with_scaled_dropout,
    without,
)


def test_fixed_axis_is_the_bases_and_baselines_with_another_value_go() -> None:
    full = load_space("full")
    cased = fixed(full, "cleaning=cased")
    assert "cleaning" not in cased.distributions and cased.base.cleaning == "cased"
    assert cased.baselines == ()  # they are in lower case, or letters
    lower = fixed(full, "cleaning=lower")
    assert [each.name for each in lower.baselines] == ["experiment 1", "experiment 2"]
    assert lower.axes == [axis for axis in full.axes if axis != "cleaning"]
    deeper = fixed(fixed(lower, "num_layers=2"), "dropout=0.2")
    assert (deeper.base.num_layers, deeper.base.dropout) == (2, 0.2)


def test_arithmetic_is_fixed_though_it_is_no_axis() -> None:
    full = load_space("full")
    fused = fixed(fixed(full, "kernel=torch"), "precision=float32")
    assert (fused.base.kernel, fused.base.precision) == ("torch", "float32")
    assert (fused.distributions, fused.baselines) == (full.distributions, full.baselines)
    assert fused.config(fused.baselines[0].params).kernel == "torch"


def test_fixed_axis_decides_the_conditions_that_name_it() -> None:
    extended = load_space("extended")
    assert "min_word_count" not in fixed(extended, "unit=char").distributions
    words = fixed(extended, "unit=word")
    assert words.condition("min_word_count") is None and "min_word_count" in words.distributions
    assert words.starts and "unit" not in words.starts[0]


def test_start_is_the_bases_where_it_names_no_value() -> None:
    """A start that leaves an axis to the base is one of the space that has the axis fixed."""
    for name, num_starts in (("extended", 1), ("research", 4)):
        space = load_space(name)
        for rule in ("cleaning=cased", "num_layers=2", "epochs=30"):
            kept = fixed(space, rule)
            assert kept.starts == space.starts and len(kept.starts) == num_starts, rule
            assert len(kept.all_starts()) == 1 + num_starts
    # One that names another value goes, and so does one whose base lies outside what is left.
    assert fixed(load_space("research"), "cell=lstm").starts == (
        *load_space("extended").starts,
        {"optimizer": "asgd"},
    )
    small = dataclasses.replace(load_space("full"), starts=({"dropout": 0.1},))
    smaller = at_most(small, "hidden_size", 256)
    assert smaller is not None and smaller.starts == ()  # the base has 512 units


def test_normalization_is_fixed_for_all_but_the_baselines() -> None:
    full = fixed(load_space("full"), "normalization=layer")
    assert full.base.normalization == "layer"
    assert {full.config(each.params).normalization for each in full.baselines} == {"none"}


def test_axis_goes_with_the_one_that_it_depends_on() -> None:
    space = SearchSpace(
        name="nested",
        description="",
        base=TrialConfig(optimizer="asgd", unit="word"),
        distributions={
            "cell": CategoricalDistribution(("lstm", "mogrifier")),
            "unit": CategoricalDistribution(("char", "word")),
            "min_word_count": IntDistribution(2, 10),
            "mogrifier_rounds": IntDistribution(2, 6),
        },
        conditions={
            "unit": ("cell", "mogrifier"),
            "min_word_count": ("unit", "word"),
            "mogrifier_rounds": ("cell", "mogrifier"),
        },
        budget=Budget(trials=3),
    )
    with pytest.raises(ConfigError, match="must keep an axis: all are fixed"):
        fixed(space, "cell=lstm")
    both = {**space.distributions, "dropout": FloatDistribution(0.0, 0.5)}
    wider = dataclasses.replace(space, distributions=both)
    assert fixed(wider, "cell=lstm").axes == ["dropout"]


@pytest.mark.parametrize("name", ["full", "extended", "research"])
def test_unit_is_fixed_whatever_the_space_has(name: str) -> None:
    space = load_space(name)
    assert "byte" not in space.values("unit")
    read = fixed(fixed(space, "cleaning=cased"), "unit=byte")
    assert read.values("unit") == ["byte"] and read.values("cleaning") == ["cased"]
    gone = {"unit", "cleaning", "min_word_count"}
    assert read.axes == [axis for axis in space.axes if axis not in gone]
    assert read.baselines == () and read.all_starts()
    assert SearchSpace.from_dict(read.to_json()) == read
    with pytest.raises(ConfigError, match="cleaning must be cased with unit byte, got 'lower'"):
        fixed(space, "unit=byte")
    with pytest.raises(ConfigError, match="unknown unit 'bytes'; did you mean byte"):
        fixed(space, "unit=bytes")


def test_baselines_that_read_something_else_go_where_the_unit_is_no_axis() -> None:
    windows = {"hidden_size": 8, "cleaning": "cased", "regime": "window"}
    space = SearchSpace(
        name="s",
        description="d",
        base=TrialConfig(cleaning="cased"),
        distributions={"hidden_size": IntDistribution(4, 64)},
        baselines=(
            Baseline(name="windows", params=windows),
            Baseline(name="characters", params={"hidden_size": 16}),
            Baseline(name="bytes", params={"hidden_size": 16, "unit": "byte"}),
        ),
        starts=({"hidden_size": 32},),
        budget=Budget(trials=9),
    )
    assert [each.name for each in fixed(space, "unit=byte").baselines] == ["bytes"]
    assert fixed(space, "unit=char").baselines == space.baselines[:2]
    assert [each.name for each in fixed(space, "hidden_size=16").baselines] == [
        "characters",
        "bytes",
    ]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("cleaning", "--fix needs AXIS=VALUE, got 'cleaning'"),
        ("cleanin=cased", "did you mean cleaning"),
        ("cleaning=upper", f"cleaning must be in {', '.join(CLEANINGS)}, got 'upper'"),
        ("kernel=cuda", "unknown kernel 'cuda'"),
        ("epochs=many", "epochs must be in 8 to 64, log scale, got 'many'"),
        ("dropout=0.9", "dropout must be in 0 to 0.7, got '0.9'"),
    ],
)
def test_what_cannot_be_fixed_is_one_line(rule: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fixed(load_space("full"), rule)


def test_numbers_end_lower_and_nothing_is_no_space() -> None:
    space = SearchSpace(
        name="s",
        description="d",
        base=TrialConfig(batch_size=4),
        distributions={
            "batch_size": CategoricalDistribution((8, 32, 16)),
            "sequence_length": IntDistribution(10, 100, step=30),
            "dropout": FloatDistribution(0, 0.5),
        },
        budget=Budget(trials=3),
    )
    smaller = at_most(space, "batch_size", 20)
    assert smaller is not None
    assert smaller.distributions["batch_size"] == CategoricalDistribution((8, 16))
    smaller = at_most(smaller, "sequence_length", 99)
    assert smaller is not None
    assert smaller.distributions["sequence_length"] == IntDistribution(10, 70, step=30)
    one = at_most(smaller, "batch_size", 9)
    assert one is not None and one.base.batch_size == 8 and "batch_size" not in one.distributions
    assert at_most(space, "batch_size", 7) is None and at_most(space, "dropout", 7) is None
    one = dataclasses.replace(space, distributions={"unit": CategoricalDistribution(("word",))})
    assert without(one, "unit", "word") is None


def test_base_has_a_share_of_its_dropout_where_it_is_an_axis() -> None:
    full = load_space("full")
    less = with_scaled_dropout(full, 0.4)
    assert less.base.dropout == pytest.approx(0.4 * full.base.dropout)
    assert (less.distributions, less.baselines) == (full.distributions, full.baselines)
    assert with_scaled_dropout(full, 1.0) == full
    extended = load_space("extended")
    less = with_scaled_dropout(extended, 0.4)
    assert less.base.dropout == pytest.approx(0.4 * extended.base.dropout)
    assert less.starts == extended.starts  # the start of words keeps its own
    # Where dropout is no axis, it stays.
    fixed_one = fixed(full, "dropout=0.2")
    assert with_scaled_dropout(fixed_one, 0.4) == fixed_one


def test_layer_norm_comes_only_where_it_has_an_effect_and_nobody_has_named_it() -> None:
    full = load_space("full")
    found = with_layer_norm(full, kept=())
    assert (found.base.normalization, found.base.dropout) == ("layer", pytest.approx(0.6))
    assert with_layer_norm(found, kept=()) == found  # not a fifth more again
    assert with_layer_norm(full, kept={"normalization"}) == full
    window = dataclasses.replace(full.base, regime="window", min_char_count=0)
    for same in (
        load_space("extended"),  # an axis
        load_space("documented"),  # no axes
        dataclasses.replace(full, most_chars=None),
        dataclasses.replace(full, base=window, baselines=()),
    ):
        assert with_layer_norm(same, kept=()) == same


def test_base_whose_dropout_would_leave_its_axis_keeps_it() -> None:
    full = load_space("full")
    base = dataclasses.replace(full.base, dropout=0.65)  # the axis ends at 0.7
    found = with_layer_norm(dataclasses.replace(full, base=base), kept=())
    assert (found.base.normalization, found.base.dropout) == ("layer", 0.65)


@pytest.mark.parametrize(
    "space",
    [
        *(pytest.param(load_space(name), id=name) for name in ("full", "extended", "research")),
        pytest.param(with_cells(load_space("full"), ["lstm", "gru"]), id="full of two cells"),
    ],
)
def test_long_text_has_less_dropout_whatever_starts_there_are(space: SearchSpace) -> None:
    found = for_text(space, 12_000_000, on_gpu=False)
    assert found.base.dropout < space.base.dropout / 3
    own = [start for start in found.starts if "dropout" not in start]
    assert {found.config(start).dropout for start in own} <= {found.base.dropout}
