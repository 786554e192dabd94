import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from model.config import FIELD_NAMES, TrialConfig
from model.errors import ConfigError
from repository import ROOT


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"hidden_size": -4}, "hidden_size must be at least 1, got -4"),
        ({"epochs": 1.5}, "epochs must be a whole number of reports, of which an epoch has 1"),
        ({"epochs": 0.04, "reports_per_epoch": 10}, "epochs must be at least 1 / 10, got 0.04"),
        ({"epochs": True}, "epochs must be a finite number, got True"),
        ({"reports_per_epoch": 0}, "reports_per_epoch must be at least 1, got 0"),
        ({"dropout": 1.0}, "dropout must be in 0 <= p < 1, got 1.0"),
        ({"dropout": float("nan")}, "dropout must be a finite number, got nan"),
        ({"dropout": "0.2"}, "dropout must be a finite number, got '0.2'"),
        ({"learning_rate": 10**400}, "learning_rate must be a finite number, got 1000"),
        ({"learning_rate": float("-inf")}, "learning_rate must be a finite number, got -inf"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0, got 0.0"),
        ({"decay_fraction": 1.1}, "decay_fraction must be in 0 <= f <= 1"),
        ({"weight_decay": -0.1}, "weight_decay must be at least 0"),
        ({"cleaning": "lowre"}, "unknown cleaning 'lowre'; did you mean lower"),
        ({"optimizer": "sgd"}, "unknown optimizer 'sgd'; did you mean asgd"),
        ({"sgd_learning_rate": 0.0}, "sgd_learning_rate must be above 0, got 0.0"),
        ({"weight_dropout": 1.0}, "weight_dropout must be in 0 <= p < 1, got 1.0"),
        ({"tie_weights": 1}, "tie_weights must be bool, got 1"),
        ({"tie_weights": "true"}, "tie_weights must be bool, got 'true'"),
        (
            {"optimizer": "asgd", "regime": "window"},
            "optimizer must be adamw in the window regime, got 'asgd'",
        ),
        (
            {"tie_weights": True, "regime": "window"},
            "tie_weights must be False in the window regime, got True",
        ),
        (
            {"weight_dropout": 0.5, "regime": "window"},
            "weight_dropout must be 0.0 in the window regime, got 0.5",
        ),
        ({"cell": "gur"}, "unknown cell 'gur'; did you mean gru"),
        ({"cell": "gru", "regime": "window"}, "cell must be lstm in the window regime, got 'gru'"),
        ({"mogrifier_rounds": -1}, "mogrifier_rounds must be at least 0, got -1"),
        ({"precision": "fp16"}, "unknown precision 'fp16'"),
        ({"seed": -1}, "seed must be in 0 <= seed"),
        ({"hiden_size": 4}, "unknown TrialConfig field 'hiden_size'; did you mean hidden_size"),
    ],
)
def test_bad_value_is_refused_with_rule_and_value(values: dict[str, object], rule: str) -> None:
    with pytest.raises(ConfigError, match=rule):
        TrialConfig.from_dict(values)


OUTSIDE = {
    "at least 1": [0],
    "at least 0": [-1],
    "above 0": [0],
    "0 <= p < 1": [-0.5, 1.0],
    "0 <= f <= 1": [-0.5, 1.5],
}
"""Range in a field's help to values outside it."""


NUMBERS = [field for field in dataclasses.fields(TrialConfig) if field.type in (int, float)]


@pytest.mark.parametrize("field", NUMBERS, ids=lambda field: field.name)
def test_range_that_the_help_says_is_checked(field: "dataclasses.Field[Any]") -> None:
    ranges = [said for said in OUTSIDE if said in field.metadata["help"]]
    assert ranges, "each number's help says its range"
    for value in (value for said in ranges for value in OUTSIDE[said]):
        with pytest.raises(ConfigError, match=f"^{field.name} must be"):
            TrialConfig(**{field.name: type(field.default)(value)})


def test_config_survives_json(tmp_path: Path) -> None:
    config = TrialConfig(hidden_size=17, dropout=0.25, seed=2**62)
    path = tmp_path / "best.json"
    path.write_text(json.dumps(config.to_dict()), encoding="utf-8")
    assert TrialConfig.from_file(path) == config
    path.write_text("[1, 2]", encoding="utf-8")
    with pytest.raises(ConfigError, match="must be an object, got list"):
        TrialConfig.from_file(path)
    path.write_text('{"dropout": 1.5}', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"best\.json: dropout must be in 0 <= p < 1"):
        TrialConfig.from_file(path)


def test_whole_number_serves_as_float() -> None:
    assert TrialConfig(dropout=0).dropout == 0


def test_every_field_is_documented_and_frozen() -> None:
    assert all(field.metadata["help"] for field in dataclasses.fields(TrialConfig))
    assert len(FIELD_NAMES) == len(set(FIELD_NAMES))
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrialConfig().epochs = 3  # type: ignore[misc]


def test_config_is_light_to_import() -> None:
    code = "import model.config, sys; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.split() == ["False", "False"]
