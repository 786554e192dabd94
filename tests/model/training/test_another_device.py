"""Networks on torch's device `meta`, which stands for a GPU: it has shapes and no values.

An operation between a tensor there and one on the CPU is refused, as with a GPU. What needs values
ends in an error that says so; nothing here was run on a GPU.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from model.config import CELLS, TrialConfig
from model.generation.decoding import SamplingOptions, drawn
from model.network.stream import StreamNetwork
from model.scoring import dynamic
from model.scoring.objective import PreparedCorpus
from model.training import trainer as trainer_module
from model.training.trainer import Trainer

META = torch.device("meta")
KINDS: dict[str, dict[str, Any]] = {
    **{cell: {"cell": cell, "num_layers": 2} for cell in CELLS},
    "two layers, layer norm, tied weights": {
        "num_layers": 2,
        "normalization": "layer",
        "tie_weights": True,
        "dropout": 0.3,
        "input_dropout": 0.2,
    },
    "weight dropout": {"weight_dropout": 0.3},
    "asgd": {"optimizer": "asgd"},
    "words": {"unit": "word", "min_word_count": 2},
    "window": {"regime": "window"},
}


class OneDevice(TorchDispatchMode):
    """Refuses operations on tensors of two devices, copies and single numbers aside.

    torch 2.13 by itself refuses fewer on this device than on a GPU: an embedding's indices, say.
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor) and t.dim()]
        if len({each.device for each in given}) > 1 and "copy" not in func.__name__:
            raise AssertionError(f"{func} was given tensors of two devices")
        return func(*args, **(kwargs or {}))


@pytest.fixture(autouse=True)
def _one_device() -> Iterator[None]:
    with OneDevice():
        yield


@pytest.fixture(params=KINDS)
def begun(
    request: pytest.FixtureRequest,
    tiny_corpus: PreparedCorpus,
    tiny_config: TrialConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> Trainer:
    """Return a training of each kind that has taken two steps but for the optimiser's part."""
    monkeypatch.setattr(trainer_module, "autocast", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(trainer_module, "take_step", lambda optimizer: None)
    config = dataclasses.replace(tiny_config, kernel="torch", **KINDS[request.param])
    begun = Trainer(config, tiny_corpus.streams(config), device=META)
    begun.regime.begin_report(0, epoch_seed=0)
    for step in range(2):
        loss, num_scored = begun.train_step(1, step)
        assert loss.device == META and num_scored.device.type in ("meta", "cpu")
    return begun


@pytest.mark.slow
def test_training_mixes_no_devices(begun: Trainer) -> None:
    trained = [each for each in begun.model.parameters() if each.requires_grad]
    assert {each.grad.device for each in trained if each.grad is not None} == {META}


@pytest.mark.slow
def test_validation_mixes_no_devices(begun: Trainer) -> None:
    # All is computed; its nats, which are none, are what cannot be brought to the host.
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        begun.validation_nats()


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_writing_mixes_no_devices(begun: Trainer, temperature: float) -> None:
    options = SamplingOptions(temperature=temperature, top_k=3, top_p=0.9)
    generator = np.random.default_rng(0)
    written = drawn(begun.model, torch.tensor([1, 2, 3]), 4, options, generator)
    assert [next(written).device for _ in range(3)] == [META] * 3


@pytest.mark.slow
def test_learning_on_mixes_no_devices(begun: Trainer) -> None:
    if not isinstance(begun.model, StreamNetwork):
        pytest.skip("windows have no state to go on from")
    roots = [torch.ones_like(each) for each in begun.model.parameters()]
    test, context = (part.symbols[:60] for part in begun.corpus.parts[1:])
    # The same: their sum over all segments is asked for at the end.
    with pytest.raises(RuntimeError, match=r"item\(\) cannot be called on meta tensors"):
        dynamic._nats(begun.model, test, context, 1e-3, roots)


def test_two_devices_are_refused(tiny_config: TrialConfig, tiny_corpus: PreparedCorpus) -> None:
    """Else the tests above could not fail."""
    whole = Trainer(tiny_config, tiny_corpus.streams(tiny_config), device=META)
    with pytest.raises(AssertionError, match="embedding"):
        whole.model(torch.zeros(2, 3, dtype=torch.long))
