"""Tied weights and weight dropout: single steps, carried state, gradients, masks."""

import copy

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from model.config import CELLS, TrialConfig
from model.network.lstm import build_network
from model.network.stream import RECURRENT_WEIGHTS, StreamNetwork
from model.network.tied import TiedOutput
from stepping_checks import check_single_steps

CONFIG = TrialConfig(hidden_size=12, num_layers=2, embedding_dim=5, dropout=0.0, input_dropout=0.0)


def network(**changes: object) -> StreamNetwork:
    torch.manual_seed(0)
    built = build_network(TrialConfig.from_dict({**CONFIG.to_dict(), **changes}), 7)
    assert isinstance(built, StreamNetwork)
    return built.eval()


@pytest.fixture
def inputs_TB() -> Tensor:  # noqa: N802
    return torch.randint(0, 7, (20, 3), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("embedding_dim", [5, 12])
def test_tied_single_steps_equal_one_window(
    embedding_dim: int, cell: str, inputs_TB: Tensor
) -> None:
    model = network(tie_weights=True, embedding_dim=embedding_dim, cell=cell, weight_dropout=0.5)
    check_single_steps(model, inputs_TB)
    with torch.inference_mode():
        whole_TBV, _ = model(inputs_TB)
        first_TBV, state = model(inputs_TB[:10])
        torch.testing.assert_close(
            torch.cat([first_TBV, model(inputs_TB[10:], state)[0]]), whole_TBV
        )


@pytest.mark.parametrize("embedding_dim", [5, 12])
def test_tied_output_follows_the_embedding_also_in_a_copy(
    embedding_dim: int, inputs_TB: Tensor
) -> None:
    model = network(tie_weights=True, embedding_dim=embedding_dim)
    copied = copy.deepcopy(model)
    before_TBV = model(inputs_TB)[0]
    for each in (model, copied):
        assert isinstance(each.output, TiedOutput)
        weight_VH = each.output.weight
        assert weight_VH.shape == (7, 12)
        with torch.no_grad():
            each.embedding.weight[3] += 1.0
        changed = (each.output.weight != weight_VH).any(dim=1) | (embedding_dim == 12)
        assert changed[3] and (embedding_dim == 12 or int(changed.sum()) == 1)
    assert not torch.equal(model(inputs_TB)[0], before_TBV)
    assert torch.equal(copied(inputs_TB)[0], model(inputs_TB)[0])
    names = [name for name, _ in model.named_parameters()]
    assert "output.weight" not in names and len(names) == len(set(names))
    assert ("output.projection.weight" in names) == (embedding_dim == 5)
    assert load(save(model.state_dict())).keys() == model.state_dict().keys()


def test_tied_output_is_that_of_the_papers(inputs_TB: Tensor) -> None:
    model = network(tie_weights=True)
    assert isinstance(model.output, TiedOutput) and model.output.projection is not None
    assert 0.09 < model.embedding.weight.abs().max() <= 0.1
    values_BH = torch.randn(3, 12)
    expected = values_BH @ model.output.projection.weight.T @ model.embedding.weight.T
    torch.testing.assert_close(model.output(values_BH), expected + model.output.bias)
    loss = model(inputs_TB)[0].sum()
    loss.backward()
    gradient = model.embedding.weight.grad
    assert gradient is not None and (gradient != 0).any(dim=1).all()


@pytest.mark.parametrize("cell", CELLS)
def test_masks_lie_on_recurrent_weights_alone_and_hold_for_a_window(
    cell: str, inputs_TB: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network(cell=cell, weight_dropout=0.5).train()
    shapes = []
    draw = model.dropout.__call__
    monkeypatch.setattr(
        model, "dropout", lambda values, p: (shapes.append((values.shape, p)), draw(values, p))[1]
    )
    model(inputs_TB)
    gates = 3 if cell == "gru" else 4
    weights = [(shape, p) for shape, p in shapes if p]
    assert weights == [((gates * 12, 12), 0.5)] * 2


@pytest.mark.parametrize("cell", CELLS)
def test_dropped_weights_act_as_zeros_and_the_others_are_scaled(
    cell: str, inputs_TB: Tensor
) -> None:
    model = network(cell=cell, weight_dropout=0.5)
    by_hand = copy.deepcopy(model)
    model.train()
    model.dropout.seed(3)
    by_hand.dropout.seed(3)
    by_hand._drop(torch.zeros(2), 0.0)
    for layer in by_hand.layers:
        for name, weight in layer.named_parameters():
            if name.rpartition(".")[2] in RECURRENT_WEIGHTS:
                weight.data = by_hand.dropout(weight.data, 0.5)
                assert 0.3 < (weight == 0).float().mean() < 0.7
    torch.testing.assert_close(model(inputs_TB)[0], by_hand(inputs_TB)[0])
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    loss = model(inputs_TB)[0].sum()
    loss.backward()
    assert all(torch.equal(weights[name], weight) for name, weight in model.state_dict().items())
    for name, weight in model.layers.named_parameters():
        assert weight.grad is not None and weight.grad.abs().sum() > 0, name


@pytest.mark.parametrize("cell", CELLS)
def test_weight_dropout_is_the_seeds_and_not_in_evaluation(cell: str, inputs_TB: Tensor) -> None:
    model = network(cell=cell, weight_dropout=0.5)
    assert torch.equal(model(inputs_TB)[0], network(cell=cell)(inputs_TB)[0])
    model.train()
    model.dropout.seed(1)
    first, second = model(inputs_TB)[0], model(inputs_TB)[0]
    assert not torch.equal(first, second)
    model.dropout.seed(1)
    assert torch.equal(model(inputs_TB)[0], first)
    assert all(isinstance(weight, nn.Parameter) for weight in model.parameters())
