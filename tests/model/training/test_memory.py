"""Bytes of a training process, against what real ones took."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import own_cell
from model.config import CELLS, TrialConfig
from model.system.limits import free_bytes, resident_bytes
from model.training.cost import TextSizes, num_parameters
from model.training.memory import training_bytes
from repository import ROOT

SIZES = TextSizes(
    train_symbols=100_000,
    validation_symbols=12_000,
    vocabulary_size=40,
    text_bytes=124_000,
)
TRAIN = """
import dataclasses, itertools, json, resource, sys
from model.config import TrialConfig
from model.training.cost import TextSizes
from model.system.devices import use_threads
from model.system.limits import peak_bytes, resident_bytes
from model.training.memory import training_bytes
from model.training.named_cells import execute_cells
from model.scoring.objective import prepare_corpus
from model.training.trainer import Trainer

use_threads(1)
execute_cells(sys.argv[2:])
values = json.loads(sys.argv[1])
text = "Alice was beginning to get very tired of sitting by her sister on the bank. " * 300
corpus = prepare_corpus(text, ["lower"]).encoded["lower"]

def train(config):
    trainer = Trainer(config, corpus)
    for _ in itertools.islice(trainer.reports(), 2):  # the second beside the best one's weights
        pass

config = TrialConfig.from_dict(values)
train(dataclasses.replace(config, hidden_size=8, batch_size=8))
base = resident_bytes()
train(config)
# Not ru_maxrss, where Linux can tell more: that begins with what the parent held.
unit = 1 if sys.platform == "darwin" else 1024
peak = peak_bytes() or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
print(json.dumps([peak - base, training_bytes(config, TextSizes.of(corpus))]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape",
    [
        *(
            {"cell": cell, "hidden_size": 256, "batch_size": 64, "sequence_length": 200}
            for cell in CELLS
            if cell != "mogrifier"  # below, with more rounds
        ),
        {
            "hidden_size": 128,
            "num_layers": 3,
            "batch_size": 128,
            "sequence_length": 100,
            "normalization": "layer",
        },
        {
            "cell": "mogrifier",
            "mogrifier_rounds": 6,
            "hidden_size": 128,
            "num_layers": 3,
            "batch_size": 128,
            "sequence_length": 50,
        },
        {
            "cell": own_cell.NAME,
            "hidden_size": 128,
            "num_layers": 3,
            "batch_size": 128,
            "sequence_length": 50,
        },
        {
            "tie_weights": True,
            "weight_dropout": 0.3,
            "hidden_size": 512,
            "batch_size": 64,
            "sequence_length": 100,
        },
        {"optimizer": "asgd", "hidden_size": 1024, "sequence_length": 100},
    ],
)
def test_estimate_is_what_a_process_took(shape: dict[str, Any]) -> None:
    """Never much less, or trials are killed; not twice as much, or a core stays idle."""
    values = json.dumps({**shape, "precision": "float32", "kernel": "torch"})
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, values, own_cell.write()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    measured, estimated = json.loads(done.stdout)
    assert measured > 100e6
    assert 0.8 < estimated / measured < 1.4, (measured, estimated)


@pytest.mark.parametrize("regime", ["stream", "window"])
@pytest.mark.parametrize(
    "field",
    ["hidden_size", "num_layers", "batch_size", "sequence_length", "embedding_dim"],
)
def test_nothing_takes_less_when_it_grows(regime: str, field: str) -> None:
    config = TrialConfig(regime=regime)
    needs = [
        training_bytes(dataclasses.replace(config, **{field: value}), SIZES)
        for value in (1, 2, 3, 8, 60, 64, 500, 1_024)
    ]
    assert needs == sorted(needs)
    if (regime, field) != ("window", "embedding_dim"):
        assert needs[0] < needs[-1]


def test_rounds_of_the_mogrifier_take_memory_and_other_cells_have_none() -> None:
    needs = {
        cell: [
            training_bytes(TrialConfig(cell=cell, mogrifier_rounds=rounds), SIZES)
            for rounds in (0, 1, 2, 5)
        ]
        for cell in CELLS
    }
    assert needs["mogrifier"] == sorted(set(needs["mogrifier"]))
    assert all(len(set(needs[cell])) == 1 for cell in set(CELLS) - {"mogrifier"})


def test_masks_of_recurrent_weights_take_memory_and_tied_ones_less() -> None:
    config = TrialConfig(hidden_size=100, num_layers=2, embedding_dim=100)
    need = training_bytes(config, SIZES)
    dropped = training_bytes(dataclasses.replace(config, weight_dropout=0.5), SIZES)
    assert dropped == need + 2 * 4 * 100 * 100 * 12
    assert training_bytes(dataclasses.replace(config, tie_weights=True), SIZES) < need
    one_mean = training_bytes(dataclasses.replace(config, optimizer="asgd"), SIZES)
    assert one_mean == need - 4 * num_parameters(config, SIZES.vocabulary_size)


def test_norm_precision_and_text_count() -> None:
    config = TrialConfig(batch_size=64, sequence_length=100)
    need = training_bytes(config, SIZES)
    assert training_bytes(dataclasses.replace(config, normalization="layer"), SIZES) > need
    assert training_bytes(dataclasses.replace(config, precision="float32"), SIZES) == need
    assert training_bytes(dataclasses.replace(config, precision="bfloat16"), SIZES) < need
    richer = dataclasses.replace(SIZES, vocabulary_size=2 * SIZES.vocabulary_size)
    assert training_bytes(config, richer) > need
    longer = dataclasses.replace(SIZES, train_symbols=2 * SIZES.train_symbols)
    assert training_bytes(config, longer) == need  # read where it lies
    windows = TrialConfig(regime="window")
    order_bytes = 4 * SIZES.train_symbols
    assert training_bytes(windows, longer) == training_bytes(windows, SIZES) + order_bytes


def test_this_process_holds_torch() -> None:
    assert 100e6 < resident_bytes() < 20e9


def test_free_memory_is_what_a_container_leaves(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  9000000 kB\nMemAvailable:  8000000 kB\n", encoding="ascii")
    container = tmp_path / "cgroup"
    container.mkdir()
    assert free_bytes(meminfo, [container]) == 8_192_000_000
    for name, text in (("max", "max"), ("current", "700"), ("stat", "anon 1\ninactive_file 50\n")):
        (container / f"memory.{name}").write_text(f"{text}\n", encoding="ascii")
    assert free_bytes(meminfo, [container]) == 8_192_000_000
    (container / "memory.max").write_text("1000\n", encoding="ascii")
    assert free_bytes(meminfo, [container]) == 350
    (container / "memory").mkdir()
    old = {"limit_in_bytes": "900", "usage_in_bytes": "800", "stat": "total_inactive_file 30\n"}
    for name, text in old.items():
        (container / "memory" / f"memory.{name}").write_text(text, encoding="ascii")
    assert free_bytes(meminfo, [container, container / "memory"]) == 130
    assert free_bytes() > 1e6
