"""A checkpoint writes at the temperature that its search found most like its book."""

import shutil
from pathlib import Path

import pytest

from model import generate
from model.config import TrialConfig
from model.errors import CheckpointError
from model.generation.temperature import (
    DEFAULT_TEMPERATURE,
    TEMPERATURE_FILE,
    default_temperature,
    write_temperature,
)
from model.training.checkpoint import load_checkpoint


def written(checkpoint: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    assert generate.main([str(checkpoint), "--chars", "60", *flags]) == 0
    return capsys.readouterr().out


def test_generate_takes_the_measured_temperature_unless_told(
    trained_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = tmp_path / "checkpoint"
    shutil.copytree(trained_checkpoint, checkpoint)
    of_default = written(checkpoint, capsys, "--temperature", str(DEFAULT_TEMPERATURE))
    hot = written(checkpoint, capsys, "--temperature", "3")
    assert hot != of_default == written(checkpoint, capsys)
    write_temperature(checkpoint, 3.0)
    assert written(checkpoint, capsys) == hot
    assert written(checkpoint, capsys, "--temperature", "0.8") == of_default
    load_checkpoint(checkpoint)  # one more file is no damage
    # As a kill leaves it that comes while it is being replaced.
    checkpoint.rename(tmp_path / ".checkpoint.replaced")
    assert written(checkpoint, capsys) == hot


def test_default_is_greedy_in_the_window_regime_and_damage_is_told(tmp_path: Path) -> None:
    config = TrialConfig()
    assert default_temperature(tmp_path, config) == DEFAULT_TEMPERATURE
    assert default_temperature(tmp_path, TrialConfig(regime="window")) == 0.0
    (tmp_path / "theirs").mkdir()
    for damaged in ("{", "[]", "{}", '{"temperature": "hot"}'):
        (tmp_path / TEMPERATURE_FILE).write_text(damaged, encoding="utf-8")
        with pytest.raises(CheckpointError, match=TEMPERATURE_FILE):
            default_temperature(tmp_path, config)
    write_temperature(tmp_path / "theirs", 0.7)
    (tmp_path / TEMPERATURE_FILE).unlink()
    (tmp_path / TEMPERATURE_FILE).symlink_to(tmp_path / "theirs" / TEMPERATURE_FILE)
    with pytest.raises(CheckpointError, match=TEMPERATURE_FILE):
        default_temperature(tmp_path, config)
