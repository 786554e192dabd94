"""The cells beside the LSTM: what it is tested for, and their own equations."""

import dataclasses

import pytest
import torch
from torch import Tensor

from model.config import CELLS, NORMALIZATIONS, TrialConfig
from model.network.cells import MogrifierLayer
from model.network.lstm import CharLSTM, build_network
from model.network.stream import StreamNetwork
from stepping_checks import check_picked_and_joined, check_single_steps

CONFIG = TrialConfig(hidden_size=12, num_layers=2, embedding_dim=5)
OTHERS = [
    *({"cell": cell} for cell in CELLS if cell != "lstm"),
    {"cell": "mogrifier", "mogrifier_rounds": 2},
]
"""All cells but the LSTM, which has tests of its own."""


def network(**changes: object) -> StreamNetwork:
    torch.manual_seed(0)
    built = build_network(TrialConfig(**{**CONFIG.to_dict(), **changes}), 7)
    assert isinstance(built, StreamNetwork)
    for norm in built.norms:
        for parameter in norm.parameters():  # at 1 and 0 a forgotten one could pass
            torch.nn.init.uniform_(parameter)
    return built.eval()


@pytest.fixture
def inputs_TB() -> Tensor:  # noqa: N802
    return torch.randint(0, 7, (20, 3), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("cell", OTHERS)
def test_one_window_equals_two_with_carried_state(
    cell: dict[str, object],
    inputs_TB: Tensor,
) -> None:
    model = network(**cell)
    whole_TBV, whole_state = model(inputs_TB)
    first_TBV, state = model(inputs_TB[:10])
    second_TBV, last_state = model(inputs_TB[10:], state)
    torch.testing.assert_close(torch.cat([first_TBV, second_TBV]), whole_TBV)
    torch.testing.assert_close(last_state, whole_state)
    assert {part_LBH.shape for part_LBH in state} == {(2, 3, 12)}
    forgotten_TBV, _ = model(inputs_TB[10:])
    assert not torch.allclose(second_TBV, forgotten_TBV)


@pytest.mark.parametrize("cell", OTHERS)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_single_steps_equal_one_window(
    normalization: str,
    cell: dict[str, object],
    inputs_TB: Tensor,
) -> None:
    check_single_steps(network(normalization=normalization, **cell), inputs_TB)


@pytest.mark.parametrize("cell", OTHERS)
def test_picked_and_joined_passages_go_on_from_their_own_states(
    cell: dict[str, object],
    inputs_TB: Tensor,
) -> None:
    check_picked_and_joined(network(**cell), inputs_TB)


def test_number_of_parameters() -> None:
    embedding, output = 7 * 5, 12 * 7 + 7
    gru = 3 * 12 * (5 + 12) + 2 * 3 * 12 + 3 * 12 * (12 + 12) + 2 * 3 * 12
    assert network(cell="gru").num_parameters() == embedding + gru + output
    lstm = 4 * 12 * (5 + 12) + 2 * 4 * 12 + 4 * 12 * (12 + 12) + 2 * 4 * 12
    gates = 5 * 5 * 12 + 5 * 12 * 12  # a matrix each round of each layer
    assert network(cell="mogrifier").num_parameters() == embedding + lstm + gates + output


def test_gru_is_the_published_one_with_the_reset_gate_after_the_product(
    inputs_TB: Tensor,
) -> None:
    model = network(cell="gru", num_layers=1)
    weights = dict(model.layers[0].named_parameters())
    hidden_BH = torch.zeros(3, 12)
    for symbols_B in inputs_TB:
        of_input = model.embedding(symbols_B) @ weights["gru.weight_ih_l0"].T
        reset, update, new = (of_input + weights["gru.bias_ih_l0"]).chunk(3, dim=1)
        of_hidden = hidden_BH @ weights["gru.weight_hh_l0"].T + weights["gru.bias_hh_l0"]
        more_reset, more_update, more_new = of_hidden.chunk(3, dim=1)
        update_BH = torch.sigmoid(update + more_update)
        new_BH = torch.tanh(new + torch.sigmoid(reset + more_reset) * more_new)
        hidden_BH = (1 - update_BH) * new_BH + update_BH * hidden_BH
    logits_TBV, _ = model(inputs_TB)
    torch.testing.assert_close(logits_TBV[-1], model.output(hidden_BH))


def test_mogrifier_is_the_published_one(inputs_TB: Tensor) -> None:
    """Melis 2020, equations 1 and 2, then the LSTM's."""
    model = network(cell="mogrifier", mogrifier_rounds=3, num_layers=1)
    layer = model.layers[0]
    assert isinstance(layer, MogrifierLayer)
    q1, r2, q3 = (dict(layer.named_parameters())[f"rounds.{n}.weight"] for n in range(3))
    assert q1.shape == q3.shape == (5, 12) and r2.shape == (12, 5)
    lstm = layer.lstm
    hidden_BH = cell_BH = torch.zeros(3, 12)
    for symbols_B in inputs_TB:
        x1 = 2 * torch.sigmoid(hidden_BH @ q1.T) * model.embedding(symbols_B)
        h2 = 2 * torch.sigmoid(x1 @ r2.T) * hidden_BH
        x3 = 2 * torch.sigmoid(h2 @ q3.T) * x1
        gates = x3 @ lstm.weight_ih.T + lstm.bias_ih + h2 @ lstm.weight_hh.T + lstm.bias_hh
        input_BH, forget_BH, new_BH, output_BH = gates.chunk(4, dim=1)
        cell_BH = forget_BH.sigmoid() * cell_BH + input_BH.sigmoid() * new_BH.tanh()
        hidden_BH = output_BH.sigmoid() * cell_BH.tanh()
    logits_TBV, _ = model(inputs_TB)
    torch.testing.assert_close(logits_TBV[-1], model.output(hidden_BH))


def test_mogrifier_without_rounds_is_the_lstm(inputs_TB: Tensor) -> None:
    lstm, mogrifier = network(), network(cell="mogrifier", mogrifier_rounds=0)
    assert isinstance(lstm, CharLSTM)
    weights = [weight.detach().clone() for weight in lstm.parameters()]
    for ours, theirs in zip(mogrifier.parameters(), weights, strict=True):
        ours.data.copy_(theirs)
    torch.testing.assert_close(mogrifier(inputs_TB), lstm(inputs_TB))


def test_forget_gates_of_the_mogrifier_start_open() -> None:
    for layer in network(cell="mogrifier").layers:
        assert isinstance(layer, MogrifierLayer)
        assert torch.all(layer.lstm.bias_ih[12:24] == 1.0)


@pytest.mark.parametrize("cell", OTHERS)
def test_dropout_lies_between_layers_and_not_in_evaluation(
    cell: dict[str, object],
    inputs_TB: Tensor,
) -> None:
    model = network(dropout=0.5, **cell)
    assert torch.equal(model(inputs_TB)[0], model(inputs_TB)[0])
    model.train()
    assert not torch.equal(model(inputs_TB)[0], model(inputs_TB)[0])


def test_lstm_keeps_its_own_network() -> None:
    """Its weights have the names that older checkpoints have, and are drawn as they were."""
    torch.manual_seed(0)
    embedding, layer = torch.nn.Embedding(7, 5), torch.nn.LSTM(5, 12)
    torch.manual_seed(0)
    built = build_network(dataclasses.replace(CONFIG, num_layers=1), 7).state_dict()
    assert torch.equal(built["embedding.weight"], embedding.weight)
    assert torch.equal(built["layers.0.weight_hh_l0"], layer.weight_hh_l0)
