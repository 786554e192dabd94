"""The settings of one training run: flat, validated, and light to import (no torch).

One name is the field, the Optuna parameter, the command-line flag and the table column.
"""

import dataclasses
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.errors import ConfigError, unknown_choice
from model.system.json_schema import parsed
from model.text.cleaning import CLEANINGS, RAW

RESOLVED_PRECISIONS = ("float32", "bfloat16")
PRECISIONS = ("auto", *RESOLVED_PRECISIONS)
RESOLVED_KERNELS = ("torch", "fused")
KERNELS = ("auto", *RESOLVED_KERNELS)
ARITHMETIC_FIELDS = ("precision", "kernel")
REGIMES = ("stream", "window")
UNITS = ("char", "word", "byte")
NORMALIZATIONS = ("none", "layer")
CELLS = ("lstm", "gru", "mogrifier")
OPTIMIZERS = ("adamw", "adam", "asgd")


def _rule(text: str, default: Any) -> Any:
    """A dataclass field whose text is both documentation and the flag's help."""
    return dataclasses.field(default=default, metadata={"help": text})


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrialConfig:
    """One configuration of the network and its training.

    Raises:
        ConfigError: A value breaks the rule given in its field's help.
    """

    epochs: float = _rule(
        "passes over the training text, above 0, a whole number of reports in all", 15
    )
    hidden_size: int = _rule("memory units in each layer, at least 1", 512)
    num_layers: int = _rule("stacked layers, at least 1", 1)
    cell: str = _rule(
        f"the recurrent cell of each layer (window: lstm alone): {', '.join(CELLS)}, or a class "
        "of one's own, FILE.py:CLASS",
        "lstm",
    )
    mogrifier_rounds: int = _rule(
        "rounds in which input and state gate each other before a step, at least 0; cell "
        "mogrifier only",
        5,
    )
    batch_size: int = _rule("columns of text trained side by side, at least 1", 16)
    dropout: float = _rule("dropout after each layer, 0 <= p < 1", 0.5)
    cleaning: str = _rule(f"how the text is cleaned: {', '.join(CLEANINGS)}", "lower")
    unit: str = _rule(
        f"what the network reads and predicts (window: char alone; byte: cleaning {RAW} alone): "
        f"{', '.join(UNITS)}",
        "char",
    )
    min_char_count: int = _rule(
        "how often a character must occur in the training text to be a symbol of its own, at "
        "least 0; rarer ones share one; unit char only",
        0,
    )
    min_word_count: int = _rule(
        "how often a word must occur in the training text to be a symbol of its own, "
        "at least 1; unit word only",
        5,
    )
    optimizer: str = _rule(
        "asgd: steps down the gradient, and the mean of the weights is scored (window: Keras' "
        f"Adam): {', '.join(OPTIMIZERS)}",
        "adamw",
    )
    learning_rate: float = _rule("Adam's peak step size, above 0", 3e-3)
    sgd_learning_rate: float = _rule("asgd's step size, above 0; optimizer asgd only", 2.0)
    decay_fraction: float = _rule(
        "last share of the steps, 0 <= f <= 1, in which the learning rate falls to zero; of asgd, "
        "whose weights' mean is scored",
        0.3,
    )
    sequence_length: int = _rule("steps of truncated back-propagation, at least 1", 50)
    embedding_dim: int = _rule("size of a symbol's embedding, at least 1", 64)
    tie_weights: bool = _rule(
        "whether the output's weights are the embedding, after a projection where embedding_dim "
        "is not hidden_size (window: false)",
        False,
    )
    weight_decay: float = _rule(
        "at least 0; adamw's is decoupled, the others add it to the gradient", 0.0
    )
    input_dropout: float = _rule("dropout on the embedding, 0 <= p < 1", 0.2)
    weight_dropout: float = _rule(
        "dropout of the recurrent weights, one mask a window, 0 <= p < 1 (window: 0)", 0.0
    )
    normalization: str = _rule(
        f"of each layer's output, layer is layer norm: {', '.join(NORMALIZATIONS)}", "none"
    )
    gradient_clip_norm: float = _rule("largest norm of the gradient, above 0", 1.0)
    patience_epochs: int = _rule(
        "epochs without a better score after which training ends, at least 0; 0 is never; stream "
        "only",
        8,
    )
    regime: str = _rule(
        "stream: text in columns, state carried; window: the reference's own way, which uses "
        "epochs, hidden_size, num_layers, batch_size, dropout, cleaning, min_char_count, "
        "learning_rate, sequence_length, precision, kernel and seed alone",
        "stream",
    )
    reports_per_epoch: int = _rule(
        "how often in an epoch the network is scored and kept, at least 1; rungs go by reports",
        1,
    )
    precision: str = _rule(f"arithmetic: {', '.join(PRECISIONS)}", "auto")
    kernel: str = _rule(
        f"what computes an LSTM, fused in bfloat16 on a CPU alone: {', '.join(KERNELS)}",
        "auto",
    )
    seed: int = _rule("seed of the weights and of dropout, at least 0", 0)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check_type(field.name, getattr(self, field.name), field.type)
        object.__setattr__(self, "epochs", whole(self.epochs))
        for name in _AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        num_reports = self.epochs * self.reports_per_epoch
        if num_reports >= _LARGEST:
            raise ConfigError(
                f"epochs must be so few that a training has below 2**63 reports, got {self.epochs}"
            )
        if self.num_reports < 1:
            least = "1" if self.reports_per_epoch == 1 else f"1 / {self.reports_per_epoch}"
            raise ConfigError(f"epochs must be at least {least}, got {self.epochs}")
        if abs(num_reports - self.num_reports) > _ROUNDING * num_reports:
            raise ConfigError(
                f"epochs must be a whole number of reports, of which an epoch has "
                f"{self.reports_per_epoch} (reports_per_epoch), got {self.epochs}"
            )
        for name in _PROBABILITIES:
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} must be in 0 <= p < 1, got {getattr(self, name)}")
        for name in _ABOVE_ZERO:
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in _AT_LEAST_ZERO:
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must be at least 0, got {getattr(self, name)}")
        if not 0 <= self.decay_fraction <= 1:
            raise ConfigError(f"decay_fraction must be in 0 <= f <= 1, got {self.decay_fraction}")
        check_seed(self.seed)
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(unknown_choice(name, getattr(self, name), choices))
        if self.unit == "byte" and self.cleaning != RAW:
            raise ConfigError(f"cleaning must be {RAW} with unit byte, got {self.cleaning!r}")
        if is_own_cell(self.cell):
            if self.weight_dropout:
                raise ConfigError(
                    f"weight_dropout must be 0 with a cell of one's own, got {self.weight_dropout}"
                )
        elif self.cell not in CELLS:
            raise ConfigError(unknown_choice("cell", self.cell, CELLS) + ", or FILE.py:CLASS")
        for name, needed in _OF_THE_WINDOW.items():
            if self.regime == "window" and getattr(self, name) != needed:
                raise ConfigError(
                    f"{name} must be {needed} in the window regime, got {getattr(self, name)!r}"
                )
        if self.kernel == "fused" and self.precision == "float32":
            raise ConfigError("kernel must be auto or torch in float32, got 'fused'")

    @property
    def num_reports(self) -> int:
        """How many reports a whole training gives."""
        return round(self.epochs * self.reports_per_epoch)

    def epochs_at(self, report: int) -> float:
        """Return how many passes are done at a report; a whole number is an int.

        >>> TrialConfig(reports_per_epoch=4).epochs_at(6)
        1.5
        """
        return whole(report / self.reports_per_epoch)

    def epochs_near(self, epochs: float) -> float:
        """Return the number of epochs that is nearest to one and ends with a report.

        >>> TrialConfig(reports_per_epoch=4).epochs_near(1.4)
        1.5
        """
        return self.epochs_at(max(1, round(epochs * self.reports_per_epoch)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrialConfig":
        """Build from a mapping; missing fields take their defaults.

        Raises:
            ConfigError: A key is not a field, or a value breaks its rule.
        """
        for name in values:
            if name not in FIELD_NAMES:
                raise ConfigError(unknown_choice("TrialConfig field", name, FIELD_NAMES))
        return cls(**values)

    @classmethod
    def from_file(cls, path: Path) -> "TrialConfig":
        """Read a JSON object of fields, such as a run's best.json.

        Raises:
            ConfigError: The file cannot be read, is not a JSON object, or breaks a rule.
        """
        try:
            text = path.read_text(encoding="utf-8")
            values: dict[str, Any] = parsed(text, dict[str, Any], "a config file")
        except (OSError, ValueError) as error:
            # Python's own text of an OSError names the file a second time.
            reason = error.strerror if isinstance(error, OSError) else error
            raise ConfigError(f"config file must be readable JSON: {path}: {reason}") from error
        return cls.from_dict(values)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, in order."""
        return {name: getattr(self, name) for name in FIELD_NAMES}


FIELD_NAMES = tuple(field.name for field in dataclasses.fields(TrialConfig))
_AT_LEAST_ONE = (
    *("reports_per_epoch", "hidden_size", "num_layers", "batch_size"),
    *("sequence_length", "embedding_dim", "min_word_count"),
)
_AT_LEAST_ZERO = ("weight_decay", "mogrifier_rounds", "min_char_count", "patience_epochs")
_ABOVE_ZERO = ("learning_rate", "sgd_learning_rate", "gradient_clip_norm")
_PROBABILITIES = ("dropout", "input_dropout", "weight_dropout")
_CHOICES = {
    "cleaning": CLEANINGS,
    "regime": REGIMES,
    "unit": UNITS,
    "optimizer": OPTIMIZERS,
    "normalization": NORMALIZATIONS,
    "precision": PRECISIONS,
    "kernel": KERNELS,
}
_OF_THE_WINDOW = {
    "unit": "char",
    "cell": "lstm",
    "optimizer": "adamw",
    "tie_weights": False,
    "weight_dropout": 0.0,
}
"""What the fields must be that the window regime cannot heed, and a user would take for heeded."""
_OWN_CELL = re.compile(r"[A-Za-z0-9_-]+\.py:[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_OWN_CELL = 80

_LARGEST = 2**63
"""A table's column holds no whole number as large."""
_ROUNDING = 1e-9
"""Relative error of a number of epochs that was divided and multiplied."""


def whole(number: float) -> float:
    """Return a whole number as an int, so that it is written as one; others as they are."""
    return int(number) if float(number).is_integer() else number


def check_type(name: str, value: object, expected: Any) -> None:
    """Reject a value that is not of a field's type; bool is no number, int serves as float.

    Raises:
        ConfigError: It is not.
    """
    if expected is float:
        # Not math.isfinite: it raises for a whole number that no float holds.
        if (
            isinstance(value, (int, float))
            and not isinstance(value, bool)
            and abs(value) <= sys.float_info.max
        ):
            return
        raise ConfigError(f"{name} must be a finite number, got {value!r}")
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        raise ConfigError(f"{name} must be {expected.__name__}, got {value!r}")
    if isinstance(value, int) and abs(value) >= _LARGEST:
        raise ConfigError(f"{name} must be below 2**63")


def is_own_cell(cell: str) -> bool:
    """Return whether a cell is a class of the user's own, by its name alone.

    >>> is_own_cell("cells.py:MyCell"), is_own_cell("lstm"), is_own_cell("../cells.py:MyCell")
    (True, False, False)
    """
    return len(cell) <= _LONGEST_OWN_CELL and bool(_OWN_CELL.fullmatch(cell))


def own_cell_name(named: str) -> str:
    """Return what configurations call a cell of the user's own.

    >>> own_cell_name("../cells/my_cells.py:MyCell")
    'my_cells.py:MyCell'

    Raises:
        ConfigError: It is no path of a Python file with the name of a class.
    """
    path, _, name = named.rpartition(":")
    cell = f"{Path(path).name}:{name}"
    if not is_own_cell(cell):
        raise ConfigError(
            f"a cell must be one of {', '.join(CELLS)}, or FILE.py:CLASS in letters, digits, - "
            f"and _ of ASCII, at most {_LONGEST_OWN_CELL}, got {named!r}"
        )
    return cell


def true_or_false(text: str) -> bool:
    """Return what a command line says of a field that is a bool.

    Raises:
        ValueError: It says something else.

    >>> true_or_false("True")
    True
    """
    if text.lower() not in ("true", "false"):
        raise ValueError(f"must be true or false, got {text!r}")
    return text.lower() == "true"


def check_seed(seed: int) -> int:
    """Return a seed that generators take.

    Raises:
        ConfigError: It is out of range.
    """
    if not 0 <= seed < 2**63:
        raise ConfigError(f"seed must be in 0 <= seed < 2**63, got {seed}")
    return seed
