"""A space of given configurations: what it holds, what is the same for all, what it refuses."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from model.config import TrialConfig
from model.errors import ConfigError
from search_spaces import SearchSpace
from search_spaces.given import MAX_CONFIGS, given_space
from search_spaces.long_text import for_text


def write(path: str, **fields: Any) -> str:
    """Write a configuration's file and return its path."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(fields), encoding="utf-8")
    return path


def configs(space: SearchSpace) -> dict[str, TrialConfig]:
    return {each.name: space.config(each.params) for each in space.baselines}


def test_space_holds_the_configurations_and_nothing_else() -> None:
    files = [write("small.json", hidden_size=8), write("dry.json", dropout=0.0, cleaning="cased")]
    space = given_space(files)
    assert configs(space) == {
        "small": TrialConfig(hidden_size=8),
        "dry": TrialConfig(dropout=0.0, cleaning="cased"),
    }
    assert space.max_trials() == space.budget.trials == 2
    assert space.axes == ["hidden_size", "dropout", "cleaning"]  # what they differ in
    assert SearchSpace.from_dict(space.to_json()) == space == given_space(files)


def test_files_of_one_name_are_named_by_their_folders() -> None:
    write("results/one/best.json", hidden_size=8)
    write("results/two/best.json", hidden_size=9)
    write("mine.json", hidden_size=10)
    files = ["results/one/best.json", "results/two/best.json", "mine.json"]
    assert list(configs(given_space(files))) == ["one/best", "two/best", "mine"]


def test_files_of_one_name_in_folders_of_one_name_are_refused() -> None:
    files = [write("a/run/best.json", hidden_size=8), write("b/run/best.json", hidden_size=9)]
    with pytest.raises(ConfigError, match="files of different names, got run/best twice"):
        given_space(files)


def test_value_that_another_file_makes_wrong_is_told_with_its_file() -> None:
    files = [
        write("a.json", reports_per_epoch=5),
        write("b.json", epochs=1.5, reports_per_epoch=2),
    ]
    rule = r"b\.json: epochs must be a whole number of reports, .*reports_per_epoch=5.* --fix"
    with pytest.raises(ConfigError, match=rule):
        given_space(files)


def test_what_is_not_compared_is_the_same_for_all() -> None:
    """A best.json has the seed and the arithmetic of its trial, and what its long text needed."""
    best = TrialConfig(
        epochs=1.5,
        hidden_size=8,
        reports_per_epoch=2,
        min_char_count=10,
        patience_epochs=3,
        precision="bfloat16",
        kernel="fused",
        seed=7,
    )
    space = given_space([write("best.json", **best.to_dict()), write("mine.json")])
    shared = {"reports_per_epoch": 2, "min_char_count": 10}
    expected = TrialConfig(epochs=1.5, hidden_size=8, **shared)
    assert configs(space) == {"best": expected, "mine": TrialConfig(**shared)}
    # Others report on a long text as trials of any space do, and train as long as they say.
    long = for_text(given_space([write("a.json"), write("b.json", epochs=3)]), 10**7, on_gpu=False)
    assert {each.reports_per_epoch for each in configs(long).values()} == {50}
    assert [each.epochs for each in configs(long).values()] == [15, 3]


def test_any_field_can_be_fixed_in_all() -> None:
    files = [write("a.json", epochs=2), write("b.json", hidden_size=8)]
    found = configs(
        given_space(files, ["epochs=40", "unit=byte", "cleaning=cased", "tie_weights=true"])
    )
    fixed = TrialConfig(epochs=40, unit="byte", cleaning="cased", tie_weights=True)
    assert found == {"a": fixed, "b": dataclasses.replace(fixed, hidden_size=8)}


def test_what_is_fixed_is_so_on_a_long_text_too() -> None:
    """1 report an epoch and a least count of 0 stand for "as the text needs" elsewhere."""
    fixes = ["reports_per_epoch=1", "min_char_count=0"]
    space = given_space([write("a.json"), write("b.json", epochs=3)], fixes)
    long = for_text(space, 10**7, on_gpu=False, kept={rule.partition("=")[0] for rule in fixes})
    assert (long.base.reports_per_epoch, long.base.min_char_count) == (1, 0)


@pytest.mark.parametrize(
    ("files", "fixes", "rule"),
    [
        (["a.json"], [], f"must name 2 to {MAX_CONFIGS} files, got 1"),
        (["a.json"] * (MAX_CONFIGS + 1), [], f"files, got {MAX_CONFIGS + 1}"),
        (["a.json", "a.json"], [], "must name different configurations"),
        (["a.json", "same.json"], [], "but same is a again: seed, patience_epochs, precision"),
        (["a.json", "b.json"], ["hidden_size=4"], "but b is a again"),
        (
            ["a.json", "nowhere.json"],
            [],
            "a configuration in readable JSON: nowhere.json: No such file",
        ),
        (["a.json", "list.json"], [], "list.json: it must be an object, got list"),
        (
            ["a.json", "wrong.json"],
            [],
            "JSON: wrong.json: unknown TrialConfig field 'size'",
        ),
        (["a.json", "high.json"], [], "JSON: high.json: dropout must be in 0 <= p < 1"),
        (["a.json", "b.json"], ["epochs"], "--fix needs FIELD=VALUE, got 'epochs'"),
        (["a.json", "b.json"], ["epoch=3"], "unknown field 'epoch'; did you mean epochs?"),
        (["a.json", "b.json"], ["seed=3"], "unknown field 'seed'"),
        (["a.json", "b.json"], ["epochs=soon"], "epochs must be a finite number, got 'soon'"),
    ],
)
def test_mistake_is_one_line(files: list[str], fixes: list[str], rule: str) -> None:
    write("a.json", hidden_size=8)
    write("same.json", hidden_size=8, seed=3, kernel="torch")
    write("b.json", hidden_size=9)
    write("wrong.json", size=3)
    write("high.json", dropout=1.5)
    Path("list.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        given_space(files, fixes)
    assert rule in str(error.value) and "\n" not in str(error.value)
