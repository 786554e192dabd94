"""The settings of one training run: flat, validated, and light to import (no torch).

Each name is also the Optuna parameter, the command-line flag and the table column.
"""

import dataclasses
import re
import sys
from collections.abc import Callable, Iterable, Mapping
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
    """Return a dataclass field whose text is both its documentation and the flag's help."""
    return dataclasses.field(default=default, metadata={"help": text})


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrialConfig:
    """One configuration of the network and its training.

    Raises:
        ConfigError: A value breaks the rule given in its field's help.
    """

    epochs: float = _rule(
        "passes over the training text, above 0; must give a whole number of reports", 15
    )
    hidden_size: int = _rule("memory units in each layer, at least 1", 512)
    num_layers: int = _rule("stacked layers, at least 1", 1)
    cell: str = _rule(
        f"the recurrent cell of each layer (window: only lstm): {', '.join(CELLS)}, or your own "
        "class, FILE.py:CLASS",
        "lstm",
    )
    mogrifier_rounds: int = _rule(
        "rounds in which input and state gate each other before a step, at least 0; only for "
        "cell mogrifier",
        5,
    )
    batch_size: int = _rule("columns of text trained in parallel, at least 1", 16)
    dropout: float = _rule("dropout after each layer, 0 <= p < 1", 0.5)
    cleaning: str = _rule(f"how the text is cleaned: {', '.join(CLEANINGS)}", "lower")
    unit: str = _rule(
        f"what the network reads and predicts (window: only char; byte: only cleaning {RAW}): "
        f"{', '.join(UNITS)}",
        "char",
    )
    min_char_count: int = _rule(
        "how often a character must occur in the training text to get its own symbol, at "
        "least 0; rarer ones share one; only for unit char",
        0,
    )
    min_word_count: int = _rule(
        "how often a word must occur in the training text to get its own symbol, "
        "at least 1; only for unit word",
        5,
    )
    optimizer: str = _rule(
        "asgd: SGD, scored with the mean of its last weights (window: Keras' "
        f"Adam): {', '.join(OPTIMIZERS)}",
        "adamw",
    )
    learning_rate: float = _rule("Adam's peak step size, above 0", 3e-3)
    sgd_learning_rate: float = _rule("asgd's step size, above 0; only for optimizer asgd", 2.0)
    decay_fraction: float = _rule(
        "share of the steps, 0 <= f <= 1, at the end, in which the learning rate falls to zero; "
        "for asgd, in which the weights are averaged",
        0.3,
    )
    sequence_length: int = _rule("steps of truncated back-propagation, at least 1", 50)
    embedding_dim: int = _rule("size of a symbol's embedding, at least 1", 64)
    tie_weights: bool = _rule(
        "whether the output layer shares the embedding's weights, after a projection if "
        "embedding_dim is not hidden_size (window: false)",
        False,
    )
    weight_decay: float = _rule(
        "at least 0; adamw's is decoupled, the others add it to the gradient", 0.0
    )
    input_dropout: float = _rule("dropout on the embedding, 0 <= p < 1", 0.2)
    weight_dropout: float = _rule(
        "dropout of the recurrent weights, one mask per window, 0 <= p < 1 (window: 0)", 0.0
    )
    normalization: str = _rule(
        f"normalization of each layer's output (layer: layer norm): {', '.join(NORMALIZATIONS)}",
        "none",
    )
    gradient_clip_norm: float = _rule("maximum norm of the gradient, above 0", 1.0)
    patience_epochs: int = _rule(
        "epochs without a better score after which training ends, at least 0; 0 means never; "
        "only for regime stream",
        8,
    )
    regime: str = _rule(
        "stream: text in columns, state carried over; window: the reference's way, which uses "
        "only epochs, hidden_size, num_layers, batch_size, dropout, cleaning, min_char_count, "
        "learning_rate, sequence_length, precision, kernel and seed",
        "stream",
    )
    reports_per_epoch: int = _rule(
        "how often per epoch the network is scored and saved, at least 1; rungs count reports",
        1,
    )
    precision: str = _rule(f"floating-point precision: {', '.join(PRECISIONS)}", "auto")
    kernel: str = _rule(f"what computes an LSTM (fused: our own): {', '.join(KERNELS)}", "auto")
    seed: int = _rule("seed of the weights and of dropout, at least 0", 0)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check_type(field.name, getattr(self, field.name), field.type)
        object.__setattr__(self, "epochs", whole(self.epochs))
        for names, rule, holds in _RANGES:
            for name in names:
                if not holds(value := getattr(self, name)):
                    raise ConfigError(f"{name} must be {rule}, got {value}")
        self._check_epochs()
        check_seed(self.seed)
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(unknown_choice(name, getattr(self, name), choices))
        if self.unit == "byte" and self.cleaning != RAW:
            raise ConfigError(f"cleaning must be {RAW} with unit byte, got {self.cleaning!r}")
        if is_own_cell(self.cell):
            if self.weight_dropout:
                raise ConfigError(
                    f"weight_dropout must be 0 with your own cell, got {self.weight_dropout}"
                )
        elif self.cell not in CELLS:
            raise ConfigError(unknown_choice("cell", self.cell, CELLS) + ", or FILE.py:CLASS")
        for name, needed in _OF_THE_WINDOW.items():
            if self.regime == "window" and getattr(self, name) != needed:
                raise ConfigError(
                    f"{name} must be {needed} in the window regime, got {getattr(self, name)!r}"
                )

    def _check_epochs(self) -> None:
        """Reject epochs that do not give a number of reports."""
        num_reports = self.epochs * self.reports_per_epoch
        if num_reports >= _LARGEST:
            raise ConfigError(
                f"epochs must give a training fewer than 2**63 reports, got {self.epochs}"
            )
        if self.num_reports < 1:
            least = "1" if self.reports_per_epoch == 1 else f"1 / {self.reports_per_epoch}"
            raise ConfigError(f"epochs must be at least {least}, got {self.epochs}")
        if abs(num_reports - self.num_reports) > _ROUNDING * num_reports:
            raise ConfigError(
                f"epochs must be a whole number of reports, of which an epoch has "
                f"{self.reports_per_epoch} (reports_per_epoch), got {self.epochs}"
            )

    @property
    def num_reports(self) -> int:
        """The number of reports of a whole training."""
        return round(self.epochs * self.reports_per_epoch)

    def epochs_at(self, report: int) -> float:
        """Return the number of passes done at a report; a whole number is an int.

        >>> TrialConfig(reports_per_epoch=4).epochs_at(6)
        1.5
        """
        return whole(report / self.reports_per_epoch)

    def epochs_near(self, epochs: float) -> float:
        """Return the nearest number of epochs that ends with a report.

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
            values: dict[str, Any] = parsed(text, dict[str, Any], "it")
            return cls.from_dict(values)
        except (OSError, ValueError) as error:
            # str() of an OSError would name the file a second time.
            reason = error.strerror if isinstance(error, OSError) else error
            raise ConfigError(
                f"config file must hold a configuration in readable JSON: {path}: {reason}"
            ) from error

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
_RANGES: tuple[tuple[tuple[str, ...], str, Callable[[float], bool]], ...] = (
    (_AT_LEAST_ONE, "at least 1", lambda value: value >= 1),
    (_PROBABILITIES, "in 0 <= p < 1", lambda value: 0 <= value < 1),
    (_ABOVE_ZERO, "above 0", lambda value: value > 0),
    (_AT_LEAST_ZERO, "at least 0", lambda value: value >= 0),
    (("decay_fraction",), "in 0 <= f <= 1", lambda value: 0 <= value <= 1),
)
CHOICES: dict[str, Iterable[str]] = {
    "cleaning": CLEANINGS,
    "regime": REGIMES,
    "unit": UNITS,
    "optimizer": OPTIMIZERS,
    "normalization": NORMALIZATIONS,
    "precision": PRECISIONS,
    "kernel": KERNELS,
}
"""Field to its values, where they are fixed; `cell` also has classes of the user's own."""
_OF_THE_WINDOW = {
    "unit": "char",
    "cell": "lstm",
    "optimizer": "adamw",
    "tie_weights": False,
    "weight_dropout": 0.0,
}
"""Required values of fields that the window regime ignores: a user would take others for used."""
_OWN_CELL = re.compile(r"[A-Za-z0-9_-]+\.py:[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_OWN_CELL = 80
_LARGEST = 2**63
"""The columns of tables hold no whole number as large as this."""
_ROUNDING = 1e-9
"""Relative rounding error of a number of epochs after dividing and multiplying."""


def whole(number: float) -> float:
    """Return a whole number as an int, so that it is written as one; others unchanged."""
    return int(number) if float(number).is_integer() else number


def check_type(name: str, value: object, expected: Any) -> None:
    """Reject a value that is not of a field's type; bool is not a number, int counts as float.

    Raises:
        ConfigError: The value is not of the type.
    """
    if expected is float:
        # Not math.isfinite: it raises for an integer that no float can hold.
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
    """Return whether a cell is a user's own class, judged only by its name.

    >>> is_own_cell("cells.py:MyCell"), is_own_cell("lstm"), is_own_cell("../cells.py:MyCell")
    (True, False, False)
    """
    return len(cell) <= _LONGEST_OWN_CELL and bool(_OWN_CELL.fullmatch(cell))


def own_cell_name(named: str) -> str:
    """Return the name of a user's own cell in configurations.

    >>> own_cell_name("../cells/my_cells.py:MyCell")
    'my_cells.py:MyCell'

    Raises:
        ConfigError: It is not the path of a Python file with the name of a class.
    """
    path, _, name = named.rpartition(":")
    cell = f"{Path(path).name}:{name}"
    if not is_own_cell(cell):
        raise ConfigError(
            f"a cell must be one of {', '.join(CELLS)}, or FILE.py:CLASS of at most "
            f"{_LONGEST_OWN_CELL} ASCII letters, digits, - and _, got {named!r}"
        )
    return cell


def true_or_false(text: str) -> bool:
    """Parse a boolean value from the command line.

    Raises:
        ValueError: It is neither true nor false.

    >>> true_or_false("True")
    True
    """
    if text.lower() not in ("true", "false"):
        raise ValueError(f"must be true or false, got {text!r}")
    return text.lower() == "true"


def check_arithmetic(precision: str, kernel: str) -> None:
    """Raise ConfigError if a network cannot be computed in these, of which none may be "auto"."""
    resolved = {"precision": RESOLVED_PRECISIONS, "kernel": RESOLVED_KERNELS}
    for name, value in (("precision", precision), ("kernel", kernel)):
        if value not in resolved[name]:
            raise ConfigError(unknown_choice(name, value, resolved[name]))


def check_seed(seed: int) -> int:
    """Return a seed if generators accept it.

    Raises:
        ConfigError: The seed is out of range.
    """
    if not 0 <= seed < 2**63:
        raise ConfigError(f"seed must be in 0 <= seed < 2**63, got {seed}")
    return seed
