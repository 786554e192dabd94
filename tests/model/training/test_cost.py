"""Parameters, steps and arithmetic of a configuration, against the real trainer's."""

import dataclasses
import itertools
from typing import Any

import pytest

from model.config import CELLS, NORMALIZATIONS, REGIMES, TrialConfig
from model.network.lstm import build_network
from model.scoring.objective import PreparedCorpus
from model.training.cost import (
    WORK_KINDS,
    TextSizes,
    epoch_work,
    num_parameters,
    output_weights,
    step_work,
    steps_per_epoch,
    time_steps_per_epoch,
)
from model.training.trainer import Trainer

SIZES = TextSizes(
    train_symbols=115_473,
    validation_symbols=14_434,
    vocabulary_size=43,
    text_bytes=144_342,
)
MOGRIFIERS = [{"cell": "mogrifier", "mogrifier_rounds": rounds} for rounds in (0, 2)]


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize(
    "network",
    [
        {"regime": "window"},
        *({"cell": cell} for cell in CELLS),
        {"tie_weights": True},
        *MOGRIFIERS,
    ],
)
def test_parameters_are_the_networks(
    network: dict[str, Any], normalization: str, num_layers: int
) -> None:
    for hidden_size, embedding_dim, vocabulary_size in itertools.product(
        (5, 12), (3, 8, 12), (7, 300)
    ):
        config = TrialConfig(
            hidden_size=hidden_size,
            embedding_dim=embedding_dim,
            num_layers=num_layers,
            normalization=normalization,
            **network,
        )
        built = build_network(config, vocabulary_size)
        assert num_parameters(config, vocabulary_size) == built.num_parameters()


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize(("batch_size", "sequence_length"), [(4, 16), (5, 13), (1, 1), (7, 100)])
def test_steps_are_the_trainers(
    regime: str,
    batch_size: int,
    sequence_length: int,
    tiny_corpus: PreparedCorpus,
    tiny_config: TrialConfig,
) -> None:
    corpus = tiny_corpus.encoded["lower"]
    config = dataclasses.replace(
        tiny_config, regime=regime, batch_size=batch_size, sequence_length=sequence_length
    )
    trainer = Trainer(config, corpus)
    sizes = TextSizes.of(corpus)
    steps = steps_per_epoch(config, sizes)
    assert steps == trainer.steps_per_epoch
    time_steps = time_steps_per_epoch(config, sizes)
    targets = len(corpus.train.symbols) - 1
    if regime == "stream":
        assert (time_steps - 1) * batch_size < targets <= time_steps * batch_size
    else:
        assert time_steps == steps * sequence_length


def test_arithmetic_by_hand() -> None:
    config = TrialConfig(hidden_size=3, embedding_dim=2, batch_size=5, sequence_length=7)
    work = step_work(config, vocabulary_size=11)
    weights = 4 * 3 * (2 + 3) + 3 * 11
    assert work.flops == 6 * 35 * weights
    assert work.layer_steps == 7 and work.calls == 2
    assert work.activations == 35 * (2 + 3 + 11)
    assert work.parameter_updates == num_parameters(config, 11)
    window = step_work(dataclasses.replace(config, regime="window"), vocabulary_size=11)
    assert window.flops == 6 * (35 * 4 * 3 * (1 + 3) + 5 * 3 * 11)


def test_epoch_is_its_steps_and_a_small_evaluation() -> None:
    config = TrialConfig(hidden_size=256, batch_size=32, sequence_length=50)
    epoch, step = epoch_work(config, SIZES), step_work(config, SIZES.vocabulary_size)
    steps = steps_per_epoch(config, SIZES)
    for kind in WORK_KINDS:
        share = getattr(epoch, kind) / (steps * getattr(step, kind))
        assert 0.98 < share < 1.2, kind


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_size": 257},
        {"num_layers": 3},
        {"embedding_dim": 65},
        {"normalization": "layer"},
        {"cell": "mogrifier"},
        {"weight_dropout": 0.1},
    ],
)
def test_more_network_is_more_work(change: dict[str, Any]) -> None:
    config = TrialConfig(hidden_size=256, num_layers=2, embedding_dim=64)
    less, more = (epoch_work(c, SIZES) for c in (config, dataclasses.replace(config, **change)))
    pairs = [(getattr(less, kind), getattr(more, kind)) for kind in WORK_KINDS]
    assert all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def test_tied_output_is_the_embedding_and_a_projection() -> None:
    config = TrialConfig(hidden_size=3, embedding_dim=2, tie_weights=True)
    lstm = 4 * 3 * (2 + 3) + 2 * 4 * 3
    assert num_parameters(config, 11) == 11 * 2 + lstm + 3 * 2 + 11
    assert output_weights(config, 11) == 3 * 2 + 2 * 11
    untied = dataclasses.replace(config, tie_weights=False)
    assert num_parameters(untied, 11) == 11 * 2 + lstm + 3 * 11 + 11
    same = dataclasses.replace(config, embedding_dim=3)
    assert num_parameters(same, 11) == 11 * 3 + 4 * 3 * (3 + 3) + 2 * 4 * 3 + 11
    assert output_weights(same, 11) == 3 * 11


def test_rounds_of_the_mogrifier_are_work_and_other_cells_have_none() -> None:
    config = TrialConfig(cell="mogrifier", mogrifier_rounds=2)
    less, more = (
        epoch_work(dataclasses.replace(config, mogrifier_rounds=rounds), SIZES)
        for rounds in (2, 3)
    )
    assert less.flops < more.flops and less.activations < more.activations
    for cell in set(CELLS) - {"mogrifier"}:
        works = [
            epoch_work(TrialConfig(cell=cell, mogrifier_rounds=rounds), SIZES) for rounds in (2, 3)
        ]
        assert works[0] == works[1]
    gru, lstm = (epoch_work(TrialConfig(cell=cell), SIZES) for cell in ("gru", "lstm"))
    assert gru.flops < lstm.flops and gru.activations > lstm.activations
