"""The workers of a node train in one arithmetic."""

from pathlib import Path

import pytest
import torch

from model.config import CELLS, TrialConfig
from model.network.precision import FLOAT32, FUSED_BFLOAT16, Arithmetic
from tune.cluster import precision as node_precision

CPU = torch.device("cpu")


def test_the_first_choice_of_a_node_is_everybodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = iter([FUSED_BFLOAT16, FLOAT32, FLOAT32])
    monkeypatch.setattr(node_precision, "resolve_arithmetic", lambda config, device: next(chosen))
    folder = tmp_path / "node"

    def choice(hidden_size: int, precision: str = "auto") -> Arithmetic:
        config = TrialConfig(hidden_size=hidden_size, precision=precision)
        return node_precision.arithmetic_on_node(config, CPU, folder)

    assert choice(200) == choice(256) == FUSED_BFLOAT16  # one class
    assert choice(300) == FLOAT32
    assert choice(256, "float32") == FLOAT32
    assert choice(200) == FUSED_BFLOAT16
    assert sorted(path.name for path in folder.iterdir()) == [
        "arithmetic-256-auto-auto",
        "arithmetic-256-float32-auto",
        "arithmetic-512-auto-auto",
    ]


def test_whoever_is_second_takes_the_firsts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(config: TrialConfig, device: torch.device) -> Arithmetic:
        # Meanwhile another worker was done.
        (tmp_path / "arithmetic-256-auto-auto").write_text("bfloat16 fused")
        return FLOAT32

    monkeypatch.setattr(node_precision, "resolve_arithmetic", measured)
    assert (
        node_precision.arithmetic_on_node(TrialConfig(hidden_size=256), CPU, tmp_path)
        == FUSED_BFLOAT16
    )


def test_choices_of_the_lstm_are_no_other_cells(tmp_path: Path) -> None:
    """Once a GRU took the bfloat16 that an LSTM of its size had measured, or the reverse."""
    folder = tmp_path / "node"
    folder.mkdir()
    (folder / "arithmetic-256-auto-auto").write_text("bfloat16 fused")
    for cell in set(CELLS) - {"lstm"}:
        gru = TrialConfig(hidden_size=200, cell=cell)
        assert node_precision.arithmetic_on_node(gru, CPU, folder) == FLOAT32
    (folder / "arithmetic-256-auto-auto").unlink()
    node_precision.arithmetic_on_node(TrialConfig(hidden_size=200, cell="gru"), CPU, folder)
    assert not [*folder.iterdir()]
