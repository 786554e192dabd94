import dataclasses

import torch

from model.config import TrialConfig
from model.network.lstm import CharLSTM

CONFIG = TrialConfig(hidden_size=12, num_layers=2, embedding_dim=5)


def network(config: TrialConfig = CONFIG) -> CharLSTM:
    torch.manual_seed(0)
    return CharLSTM(config, vocabulary_size=7)


def test_shapes() -> None:
    inputs_TB = torch.zeros((9, 3), dtype=torch.int64)
    logits_TBV, (hidden_LBH, cell_LBH) = network()(inputs_TB)
    assert logits_TBV.shape == (9, 3, 7)
    assert hidden_LBH.shape == cell_LBH.shape == (2, 3, 12)


def test_one_window_equals_two_with_carried_state() -> None:
    model = network().eval()
    inputs_TB = torch.randint(0, 7, (20, 3), generator=torch.Generator().manual_seed(0))
    whole_TBV, _ = model(inputs_TB)
    first_TBV, state = model(inputs_TB[:10])
    second_TBV, _ = model(inputs_TB[10:], state)
    torch.testing.assert_close(torch.cat([first_TBV, second_TBV]), whole_TBV)


def test_number_of_parameters() -> None:
    embedding, output = 7 * 5, 12 * 7 + 7
    first = 4 * 12 * (5 + 12) + 2 * 4 * 12  # torch keeps two biases for each gate
    second = 4 * 12 * (12 + 12) + 2 * 4 * 12
    assert network().num_parameters() == embedding + first + second + output


def test_forget_gates_start_open() -> None:
    for layer in network().layers:
        bias = dict(layer.named_parameters())["bias_ih_l0"]
        assert torch.all(bias[12:24] == 1.0)
        assert torch.all(bias[:12].abs() < 0.5)


def test_one_layer_takes_dropout_without_a_warning() -> None:
    network(dataclasses.replace(CONFIG, num_layers=1, dropout=0.5))
