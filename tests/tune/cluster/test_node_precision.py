"""The workers of a node train in one arithmetic."""

from pathlib import Path

import pytest
import torch

from model.config import TrialConfig
from tune.cluster import precision as node_precision

CPU = torch.device("cpu")


def test_the_first_choice_of_a_node_is_everybodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = iter(["bfloat16", "float32", "float32"])
    monkeypatch.setattr(node_precision, "resolve_precision", lambda config, device: next(chosen))
    folder = tmp_path / "node"

    def choice(hidden_size: int, precision: str = "auto") -> str:
        config = TrialConfig(hidden_size=hidden_size, precision=precision)
        return node_precision.precision_on_node(config, CPU, folder)

    assert choice(200) == choice(256) == "bfloat16"  # one class
    assert choice(300) == "float32"
    assert choice(256, "float32") == "float32"  # as the config says; it is no choice
    assert choice(200) == "bfloat16"
    assert sorted(path.name for path in folder.iterdir()) == ["precision-256", "precision-512"]


def test_whoever_is_second_takes_the_firsts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(config: TrialConfig, device: torch.device) -> str:
        (tmp_path / "precision-256").write_text("bfloat16")  # meanwhile another worker was done
        return "float32"

    monkeypatch.setattr(node_precision, "resolve_precision", measured)
    assert (
        node_precision.precision_on_node(TrialConfig(hidden_size=256), CPU, tmp_path) == "bfloat16"
    )


def test_choices_of_the_lstm_are_no_other_cells(tmp_path: Path) -> None:
    """Once a GRU took the bfloat16 that an LSTM of its size had measured, or the reverse."""
    folder = tmp_path / "node"
    folder.mkdir()
    (folder / "precision-256").write_text("bfloat16")
    for cell in ("gru", "mogrifier"):
        gru = TrialConfig(hidden_size=200, cell=cell)
        assert node_precision.precision_on_node(gru, CPU, folder) == "float32"
    (folder / "precision-256").unlink()
    node_precision.precision_on_node(TrialConfig(hidden_size=200, cell="gru"), CPU, folder)
    assert not [*folder.iterdir()]
