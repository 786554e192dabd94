"""Smaller spaces: `--fix`, and what a text does not fit."""

import dataclasses
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from model.config import TrialConfig
from model.errors import ConfigError
from model.text.cleaning import CLEANINGS
from search_spaces import Baseline, Budget, SearchSpace, load_space
from search_spaces.cells import with_cells
from search_spaces.distributions import all_values
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


@pytest.mark.parametrize(
    ("rule", "left", "base"),
    [
        ("hidden_size=320..512", IntDistribution(320, 512, log=True), 512),
        ("hidden_size=64..100", IntDistribution(64, 100, log=True), 100),
        ("dropout=0.1..0.3", FloatDistribution(0.1, 0.3), 0.3),
        ("epochs=10..20", IntDistribution(10, 20, log=True), 15),
        ("epochs=10,20", CategoricalDistribution((10, 20)), 10),
        ("hidden_size=512,256,512", CategoricalDistribution((512, 256)), 512),
        ("dropout=0.1,0.3", CategoricalDistribution((0.1, 0.3)), 0.3),
        ("batch_size=16..64", CategoricalDistribution((16, 32, 64)), 16),
        ("batch_size=64,8", CategoricalDistribution((64, 8)), 8),
        ("cleaning=cased,letters", CategoricalDistribution(("cased", "letters")), "cased"),
        ("cleaning=cased,lower", CategoricalDistribution(("cased", "lower")), "lower"),
        ("hidden_size=320..320", None, 320),
        ("batch_size=32..32", None, 32),
        ("cleaning=cased,cased", None, "cased"),
    ],
)
def test_axis_is_narrowed_to_a_range_or_a_list(rule: str, left: Any, base: Any) -> None:
    space = load_space("full")
    space = dataclasses.replace(space, base=dataclasses.replace(space.base, batch_size=8))
    axis = rule.partition("=")[0]
    narrow = fixed(space, rule)
    assert repr(narrow.distributions.get(axis)) == repr(left)  # 10.0 epochs are 10
    assert getattr(narrow.base, axis) == base and narrow.base_point() is not None
    assert dataclasses.replace(narrow.base, **{axis: getattr(space.base, axis)}) == space.base
    assert SearchSpace.from_dict(narrow.to_json()) == narrow


def test_narrowed_axis_keeps_its_steps_and_what_lies_inside() -> None:
    params = {"unit": "char", "dropout": 0.1, "tie_weights": False}
    space = SearchSpace(
        name="s",
        description="d",
        base=TrialConfig(hidden_size=64, unit="word"),
        distributions={
            "unit": CategoricalDistribution(("char", "word")),
            "min_word_count": IntDistribution(2, 10),
            "hidden_size": IntDistribution(32, 128, step=32),
            "dropout": FloatDistribution(0.0, 0.5, step=0.1),
            "tie_weights": CategoricalDistribution((True, False)),
        },
        conditions={"min_word_count": ("unit", "word")},
        baselines=(
            Baseline(name="small", params={**params, "hidden_size": 32}),
            Baseline(name="large", params={**params, "hidden_size": 96}),
        ),
        starts=({"hidden_size": 32}, {"hidden_size": 96}, {"dropout": 0.2}),
        budget=Budget(trials=9),
    )
    large = fixed(space, "hidden_size=96..128")
    assert large.distributions["hidden_size"] == IntDistribution(96, 128, step=32)
    assert [each.name for each in large.baselines] == ["large"]
    # The base has moved into the range, and a start with it that names no size.
    assert large.starts == space.starts[1:] and large.base.hidden_size == 96
    assert large.all_starts()[1]["hidden_size"] == 96
    stepped = fixed(space, "dropout=0.1..0.3").distributions["dropout"]
    assert all_values(stepped) == [0.1, 0.2, 0.3]
    assert fixed(space, "tie_weights=false,true").values("tie_weights") == [False, True]
    both = fixed(space, "unit=word,char")
    assert both.condition("min_word_count") == space.condition("min_word_count")
    for rule in ("hidden_size=40..128", "dropout=0.15..0.3"):  # off the steps
        with pytest.raises(ConfigError, match=r"must be in .*, in steps of .*, got "):
            fixed(space, rule)


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
        ("dropout=0.5..0.9", "dropout must be in 0 to 0.7, got '0.5..0.9'"),
        ("dropout=0.5..", "dropout must be in 0 to 0.7, got '0.5..'"),
        ("dropout=nan..0.5", "dropout must be in 0 to 0.7, got 'nan..0.5'"),
        ("dropout=0.5..0.1", "a range of dropout must be LOW..HIGH, got '0.5..0.1'"),
        ("epochs=8..16..32", "a range of epochs must be LOW..HIGH, got '8..16..32'"),
        ("epochs=8,70", "epochs must be in 8 to 64, log scale, got '8,70'"),
        ("batch_size=8..100", "batch_size must be in 8, 16, 32, 64, 128, got '8..100'"),
        ("cleaning=lower,upper", f"in {', '.join(CLEANINGS)}, got 'lower,upper'"),
        ("cleaning=lower..cased", f"in {', '.join(CLEANINGS)}, got 'lower..cased'"),
        ("unit=char,byte", "unknown unit 'char,byte'"),
        ("kernel=torch,fused", "unknown kernel 'torch,fused'"),
        ("learning_rate=0.1", "learning_rate is none of this space, whose base has 0.003; axes"),
        ("learning_rat=0.1", "unknown axis 'learning_rat'"),
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
