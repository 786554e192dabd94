"""Spaces for long texts."""

import dataclasses

import pytest
from optuna.distributions import FloatDistribution, IntDistribution

from model.config import TrialConfig
from search_spaces import SearchSpace, load_space
from search_spaces.load import SPACE_NAMES
from search_spaces.long_text import changes_for_text, for_text
from search_spaces.narrow import LAYER_NORM_DROPOUT, fixed


@pytest.mark.parametrize("name", SPACE_NAMES)
def test_space_is_the_same_for_all_texts_up_to_a_million_characters(name: str) -> None:
    assert for_text(load_space(name), 1_000_000, on_gpu=False) == load_space(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACE_NAMES)
@pytest.mark.parametrize("num_chars", [1_000_001, 12_000_000, 1_000_000_000])
def test_long_text_gets_reports_within_its_epochs(name: str, num_chars: int) -> None:
    space = for_text(load_space(name), num_chars, on_gpu=False)
    assert SearchSpace.from_dict(space.to_json()) == space
    report_chars = num_chars / space.base.reports_per_epoch
    for config in space.corners(("epochs", "batch_size", "sequence_length")):
        assert config.reports_per_epoch == space.base.reports_per_epoch
        assert config.num_reports >= min(20, config.epochs)
        assert config.batch_size * config.sequence_length <= report_chars
    on_gpu = for_text(load_space(name), num_chars, on_gpu=True)
    # Of one: the text's own passages would be judged, and not the short ones of a long text.
    assert 2 <= on_gpu.base.reports_per_epoch <= max(2, space.base.reports_per_epoch)
    for start in space.all_starts():
        assert space.holds(start)


def test_the_longer_the_text_the_fewer_passes_and_the_more_characters() -> None:
    lengths = (1_500_000, 12_000_000, 100_000_000, 1_000_000_000)
    spaces = [for_text(load_space("full"), length, on_gpu=False) for length in lengths]
    for end in (min, max):
        passes = [end(space.values("epochs")) for space in spaces]
        assert passes == sorted(passes, reverse=True)
        chars = [length * each for length, each in zip(lengths, passes, strict=True)]
        assert chars == sorted(chars)
    # A network that sees a text fewer times overfits it less.
    dropout = [space.base.dropout for space in spaces]
    assert dropout == sorted(dropout, reverse=True)
    assert dropout[1] == pytest.approx(LAYER_NORM_DROPOUT * 0.5 / 12 ** (2 / 3))
    # It learns faster with layer norm; the baselines are as they are documented.
    assert {space.base.normalization for space in spaces} == {"layer"}
    baselines = [space.config(each.params) for space in spaces for each in space.baselines]
    assert {config.normalization for config in baselines} == {"none"}
    without = for_text(load_space("full"), 12_000_000, on_gpu=False, kept={"normalization"})
    own = {"normalization": "none", "dropout": without.base.dropout}
    assert own["dropout"] == pytest.approx(0.5 / 12 ** (2 / 3))
    assert without == dataclasses.replace(
        spaces[1],
        base=dataclasses.replace(spaces[1].base, **own),
        baselines=without.baselines,
    )
    words = for_text(load_space("extended"), 12_000_000, on_gpu=False).starts[0]
    assert (words["unit"], words["batch_size"]) == ("word", 16)
    # The more there is to learn from, the less a step's noise is worth.
    assert [space.base.batch_size for space in spaces] == [16, 64, 128, 128]
    # The baselines are where they were among the others.
    assert {baseline.params["dropout"] for space in spaces for baseline in space.baselines} == {
        0.2
    }
    assert [baseline.params["epochs"] for baseline in spaces[1].baselines] == [3.82, 5.72, 7.64]


def test_users_space_keeps_its_epochs_unless_it_says_what_they_are_for() -> None:
    base = TrialConfig(epochs=4)
    space = SearchSpace(
        name="mine",
        description="",
        base=base,
        distributions={"epochs": IntDistribution(2, 8)},
        budget=load_space("full").budget,
    )
    long = for_text(space, 16_000_000, on_gpu=False)
    assert long.distributions == space.distributions
    assert long.base == dataclasses.replace(base, reports_per_epoch=50, min_char_count=10)
    own = dataclasses.replace(space, base=dataclasses.replace(base, min_char_count=1))
    assert for_text(own, 16_000_000, on_gpu=False).base.min_char_count == 1
    quarters = TrialConfig(epochs=2.25, reports_per_epoch=4)
    own = dataclasses.replace(space, base=quarters)
    kept = for_text(own, 16_000_000, on_gpu=False).base
    assert (kept.epochs, kept.reports_per_epoch) == (2.25, 4)
    fewer = for_text(dataclasses.replace(space, most_chars=1_000_000), 16_000_000, on_gpu=False)
    assert fewer.distributions == {"epochs": FloatDistribution(0.32, 1.26)}
    assert fewer.base.epochs == 0.62
    assert fewer.config({"epochs": 0.377}).epochs == 0.38
    fixed_epochs = for_text(fixed(load_space("full"), "epochs=30"), 16_000_000, on_gpu=False)
    assert fixed_epochs.values("epochs") == [30]


def test_plan_says_what_a_long_text_changed_and_only_that() -> None:
    def said(named: SearchSpace, num_chars: int) -> list[str]:
        return changes_for_text(named, for_text(named, num_chars, on_gpu=False), num_chars)

    full = load_space("full")
    assert said(full, 1_000_000) == []
    assert said(full, 12_000_000) == [
        "fitted to a text of 12.0 million characters: passes x 0.19, the base's batch x 4, layer "
        "norm, characters that occur fewer than 10 times share a symbol"
    ]
    # Without `most_chars` nothing but the rare characters is the text's.
    assert said(dataclasses.replace(full, most_chars=None), 12_000_000) == [
        "fitted to a text of 12.0 million characters: characters that occur fewer than 10 times "
        "share a symbol"
    ]
