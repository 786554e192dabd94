"""Optimisers without torch's compiler: the same steps, and no import of it."""

import dataclasses
import subprocess
import sys

import pytest
import torch
from torch.optim import Optimizer

from model.config import TrialConfig
from model.scoring.objective import PreparedCorpus
from model.training.optimizer import make_optimizer, take_step
from model.training.trainer import Trainer

_TRAINING = """
import sys
from model.config import TrialConfig
from model.network.lstm import tensor_shapes
from model.scoring.objective import prepare_corpus
from model.training.trainer import Trainer
text = "the hare ran to the tree and the tortoise did not run at all; " * 40
kinds = [("stream", "adamw"), ("window", "adamw"), ("stream", "adam"), ("stream", "asgd")]
for regime, optimizer in kinds:
    config = TrialConfig(regime=regime, optimizer=optimizer, epochs=1, hidden_size=8,
                         batch_size=16, sequence_length=10, cleaning="cased")
    trainer = Trainer(config, prepare_corpus(text, ["cased"]).encoded["cased"])
    list(trainer.reports())
    trainer.optimizer.load_state_dict(trainer.optimizer.state_dict())
    tensor_shapes(config, 30)  # of a checkpoint that is read
print("torch._dynamo" in sys.modules)
"""
_UPSTREAM = """
import sys
import torch
layer = torch.nn.Linear(2, 2)
torch.optim.AdamW(layer.parameters())
print("torch._dynamo" in sys.modules)
"""


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (torch.optim.AdamW, {"lr": 0.01, "weight_decay": 0.1, "fused": True}),
        (torch.optim.Adam, {"lr": 0.01, "eps": 1e-7, "fused": True}),
        (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
        (torch.optim.ASGD, {"lr": 0.1, "lambd": 0.0, "t0": 1}),
    ],
)
def test_steps_are_those_of_torch(kind: type[Optimizer], settings: dict[str, float]) -> None:
    weights = []
    for is_ours in (False, True):
        torch.manual_seed(3)
        network = torch.nn.LSTM(4, 5)
        inputs_TBI = torch.randn(7, 3, 4)
        optimizer = (make_optimizer if is_ours else _of_torch)(
            kind, network.parameters(), **settings
        )
        for _ in range(3):
            optimizer.zero_grad()
            network(inputs_TBI)[0].square().sum().backward()
            take_step(optimizer) if is_ours else optimizer.step()
        weights.append([parameter.detach().clone() for parameter in network.parameters()])
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*weights, strict=True))


def _of_torch(kind: type[Optimizer], parameters: object, **settings: float) -> Optimizer:
    return kind(parameters, **settings)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "imports_it"),
    [
        pytest.param(_TRAINING, False, id="ours"),
        # Where this one fails, torch no longer does, and model/training/optimizer.py can go.
        pytest.param(_UPSTREAM, True, id="torch 2.13"),
    ],
)
def test_training_does_without_the_compiler(script: str, imports_it: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(imports_it)


@pytest.mark.slow
def test_adam_is_adamw_but_for_weight_decay(
    tiny_config: TrialConfig, tiny_corpus: PreparedCorpus
) -> None:
    """So in `research` adam has no start of its own, and no decay, whose range is adamw's."""

    def bits(optimizer: str, weight_decay: float) -> list[float]:
        changes = {"epochs": 2, "optimizer": optimizer, "weight_decay": weight_decay}
        config = dataclasses.replace(tiny_config, **changes)
        trainer = Trainer(config, tiny_corpus.encoded[config.cleaning])
        return [report.val_bits_per_char for report in trainer.reports()]

    assert bits("adam", 0.0) == bits("adamw", 0.0)
    assert bits("adam", 0.1)[-1] > bits("adamw", 0.1)[-1]
