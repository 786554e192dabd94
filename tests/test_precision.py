"""The arithmetic of a run: what is chosen, and what the LSTM really runs in."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from model import precision
from model.checkpoint import (
    META_FILE,
    MODEL_FILE,
    TRAINING_FILE,
    copy_model,
    load_checkpoint,
)
from model.checksums import write_sums
from model.config import TrialConfig
from model.devices import pick_device
from model.errors import CheckpointError
from model.objective import PreparedCorpus
from model.precision import resolve_precision
from model.trainer import Trainer

CUDA = torch.device("cuda")
REGIMES = ({}, {"regime": "window", "sequence_length": 10, "batch_size": 64})


def test_on_a_gpu_auto_is_float32_and_nothing_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    monkeypatch.setattr(precision, "_faster", lambda *_: "bfloat16")
    assert resolve_precision(TrialConfig(), CUDA) == "float32"
    assert resolve_precision(TrialConfig(precision="bfloat16"), CUDA) == "bfloat16"
    assert resolve_precision(TrialConfig(), torch.device("cpu")) == "bfloat16"


def test_a_checkpoint_goes_on_in_the_arithmetic_that_it_was_begun_in(
    tiny_corpus: PreparedCorpus,
    tiny_config: TrialConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = dataclasses.replace(tiny_config, precision="auto")
    corpus = tiny_corpus.encoded["lower"]
    monkeypatch.setattr(precision, "_faster", lambda *_: "bfloat16")
    begun = Trainer(config, corpus)
    next(begun.epochs())
    begun.save(tmp_path / "checkpoint")
    copy_model(tmp_path / "checkpoint", tmp_path / "kept")
    assert load_checkpoint(tmp_path / "kept")[1].precision == "bfloat16"
    # Another machine would choose float32.
    monkeypatch.setattr(precision, "_faster", lambda *_: "float32")
    resumed = Trainer(config, corpus)
    resumed.restore(tmp_path / "checkpoint")
    assert resumed.precision == "bfloat16"
    # A checkpoint from before the precision was written down.
    rewrite(tmp_path / "checkpoint", None)
    older = Trainer(config, corpus)
    older.restore(tmp_path / "checkpoint")
    assert older.precision == "float32"
    rewrite(tmp_path / "checkpoint", "float17")
    with pytest.raises(CheckpointError, match="unknown precision 'float17'"):
        load_checkpoint(tmp_path / "checkpoint")


def rewrite(folder: Path, stored: str | None) -> None:
    """Give a checkpoint another precision, or none at all."""
    path = folder / META_FILE
    values = json.loads(path.read_text(encoding="utf-8"))
    values.pop("precision", None)
    if stored is not None:
        values["precision"] = stored
    path.write_text(json.dumps(values), encoding="utf-8")
    write_sums(folder, (MODEL_FILE, META_FILE, TRAINING_FILE))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("changes", REGIMES)
@pytest.mark.parametrize("asked", ["auto", "bfloat16"])
def test_the_lstm_never_runs_in_float16_on_a_gpu(
    asked: str, changes: dict[str, object], tiny_corpus: PreparedCorpus, tiny_config: TrialConfig
) -> None:
    values = {**tiny_config.to_dict(), **changes, "precision": asked, "num_layers": 2}
    trainer = Trainer(
        TrialConfig.from_dict(values),
        tiny_corpus.encoded["lower"],
        device=pick_device(use_gpu=True),
    )
    of_lstm, of_output = set(), set()

    def note(module: nn.Module, _: object, result: object) -> None:
        if isinstance(module, nn.LSTM):
            assert isinstance(result, tuple)
            of_lstm.add(result[0].dtype)
        elif isinstance(result, torch.Tensor):
            of_output.add(result.dtype)

    for module in (*trainer.model.layers, trainer.model.output):  # type: ignore[misc]
        module.register_forward_hook(note)
    next(trainer.epochs())  # trains and evaluates
    assert of_lstm == {torch.float32}
    assert of_output == {torch.bfloat16 if asked == "bfloat16" else torch.float32}
