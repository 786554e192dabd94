"""Single steps give what the network gives."""

import pytest
import torch

from model.config import NORMALIZATIONS, TrialConfig
from model.network import stepping
from model.network.fused_stepping import FusedStepper
from model.network.lstm import CharLSTM
from model.network.precision import (
    ARITHMETICS,
    FUSED_BFLOAT16,
    FUSED_FLOAT32,
    Arithmetic,
    autocast,
)
from stepping_checks import check_picked_and_joined, check_single_steps


@pytest.mark.parametrize("max_table_values", [0, stepping.MAX_TABLE_VALUES])
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("num_layers", [1, 3])
def test_steps_equal_one_long_pass(
    num_layers: int,
    normalization: str,
    max_table_values: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stepping, "MAX_TABLE_VALUES", max_table_values)
    torch.manual_seed(0)
    config = TrialConfig(
        num_layers=num_layers, hidden_size=20, embedding_dim=6, normalization=normalization
    )
    network = CharLSTM(config, 9)
    for norm in network.norms:
        for parameter in norm.parameters():  # at 1 and 0 a forgotten one could pass
            torch.nn.init.uniform_(parameter)
    network.eval()
    inputs_TB = torch.randint(0, 9, (30, 4), generator=torch.Generator().manual_seed(1))
    check_single_steps(network, inputs_TB, tolerance=1e-5)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("arithmetic", [FUSED_FLOAT32, FUSED_BFLOAT16], ids=str)
def test_fused_steps_equal_one_long_pass(
    arithmetic: Arithmetic, num_layers: int, normalization: str
) -> None:
    if not arithmetic.is_available:
        pytest.skip("no AVX512 or no C++ compiler here")
    torch.manual_seed(0)
    config = TrialConfig(
        num_layers=num_layers,
        hidden_size=37,
        normalization=normalization,
        tie_weights=num_layers > 1,
    )
    network = CharLSTM(config, 9).eval()
    for norm in network.norms:
        for parameter in norm.parameters():  # at 1 and 0 a forgotten one could pass
            torch.nn.init.uniform_(parameter)
    network.use_kernel(arithmetic.kernel, arithmetic.precision)
    tolerance = 1e-5 if arithmetic == FUSED_FLOAT32 else 0.02
    inputs_TB = torch.randint(0, 9, (30, 4), generator=torch.Generator().manual_seed(1))
    with torch.no_grad(), autocast(arithmetic.precision, torch.device("cpu")):
        whole_TBV, _ = network(inputs_TB)
    logits_BV, stepper = network.start_stepper(inputs_TB[:10])
    assert isinstance(stepper, FusedStepper)
    torch.testing.assert_close(logits_BV, whole_TBV[9], rtol=0, atol=0)
    for place in range(10, 30):
        logits_BV = stepper.step(inputs_TB[place])
        assert not logits_BV.requires_grad
        # Logits are float32's here; products are added up in another order.
        torch.testing.assert_close(
            logits_BV, whole_TBV[place].float(), rtol=tolerance, atol=tolerance
        )
    with pytest.raises(AssertionError, match="one symbol a passage"):
        stepper.step(inputs_TB[0, :3])
    with pytest.raises(IndexError, match=r"below 9, got \[9, 0, 0, 0\]"):
        stepper.step(torch.tensor([9, 0, 0, 0]))


@pytest.mark.parametrize("arithmetic", ARITHMETICS, ids=str)
def test_picked_and_joined_passages_go_on_from_their_own_states(arithmetic: Arithmetic) -> None:
    torch.manual_seed(0)
    network = CharLSTM(TrialConfig(num_layers=2, hidden_size=20, embedding_dim=6), 9).eval()
    network.use_kernel(arithmetic.kernel, arithmetic.precision)
    tolerance = 0.02 if arithmetic == FUSED_BFLOAT16 else 1e-5
    texts_TB = torch.randint(0, 9, (12, 3), generator=torch.Generator().manual_seed(1))
    check_picked_and_joined(network, texts_TB, tolerance=tolerance)
