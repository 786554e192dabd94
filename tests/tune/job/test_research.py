"""A search of the space `research`: each cell, each optimiser and each part is trained."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import tune
from model.config import CELLS, OPTIMIZERS
from search_spaces import load_space

SMALL = {
    "unit": "char",
    "epochs": 8,
    "hidden_size": 64,
    "num_layers": 1,
    "batch_size": 4,
    "sequence_length": 32,
    "precision": "float32",
    "kernel": "torch",
}
"""What is fixed, so that a trial takes a second."""


@pytest.mark.slow
def test_search_of_research_trains_each_cell_optimiser_and_part(tiny_text: str) -> None:
    Path("book.txt").write_text(tiny_text, encoding="utf-8")
    research = load_space("research")
    more = {"optimizer": "adam", "tie_weights": True}, {"cell": "gru", "weight_dropout": 0.3}
    run = tune.search(
        space=dataclasses.replace(research, starts=(*research.starts, *more)),
        corpus="book.txt",
        fix=[f"{axis}={value}" for axis, value in SMALL.items()],
        trials=6,  # the base and the starts: the baselines and the start of words are not small
        finalists=0,
        progress=False,
    )
    trials = run.trials
    assert len(trials) == 6 and trials["baseline"].isna().all()
    assert set(trials["cell"]) == {*CELLS} and set(trials["optimizer"]) == {*OPTIMIZERS}
    assert trials["tie_weights"].any() and trials["weight_dropout"].max() == 0.3
    assert set(trials["status"]) <= {"COMPLETE", "PRUNED"}
    assert trials["epochs_run"].min() >= 1 and np.isfinite(trials["val_bits_per_char"]).all()
