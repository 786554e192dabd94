"""What a user orders of a search that runs, and what became of it.

A request is an order that the driver has not read yet: JSON in a file that anyone who can write to
the run's folder may have left there.
"""

import dataclasses
import enum
import json
import math
import operator
import re
import time
from collections.abc import Callable
from typing import Any

from model.errors import ConfigError
from model.system.durations import format_seconds
from model.system.json_schema import parsed, record
from tune.records.trial import Status, TrialRecord

MAX_WORKERS = 100_000
MAX_REQUEST_BYTES = 100_000
_ID = re.compile(r"[0-9a-f]{16}")


class Action(enum.StrEnum):
    """What is ordered."""

    STOP = "stop"
    """A trial ends with its next report."""
    FINISH = "finish"
    """A trial is stopped by ASHA no more."""
    ADD = "add"
    """A configuration is tried next."""
    WORKERS = "workers"
    """At most this number of trials start to run at once."""
    BUDGET = "budget"
    """The time budget, counted from the search's start."""
    END = "end"
    """The search ends as by Ctrl-C."""


_VALUE_OF = {
    Action.STOP: "trial",
    Action.FINISH: "trial",
    Action.ADD: "config",
    Action.WORKERS: "workers",
    Action.BUDGET: "time_budget_seconds",
    Action.END: None,
}
"""The one field that an order of each kind has."""
_NUMBERS: dict[str, Callable[[Any], float]] = {
    "trial": operator.index,
    "workers": operator.index,
    "time_budget_seconds": float,
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What a user wants.

    Attributes:
        id: 16 hexadecimal digits, the name of its file; by default the time in nanoseconds, so
            that orders are carried out as they were given.
        action: What is ordered; it says which one of the others there is.
        trial: Number of a trial.
        config: Fields of a configuration; the space's base has the others.
        workers: Most trials at once, 1 to MAX_WORKERS.
        time_budget_seconds: Seconds, above 0.

    Raises:
        ConfigError: A rule is broken.
    """

    id: str = dataclasses.field(default_factory=lambda: f"{time.time_ns():016x}")
    action: Action
    trial: int | None = None
    config: dict[str, float | int | str | bool] | None = None
    workers: int | None = None
    time_budget_seconds: float | None = None

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ConfigError(f"an order's id must be 16 hexadecimal digits, got {self.id!r:.40}")
        fields = {name for name in _VALUE_OF.values() if name is not None}
        given = {name for name in fields if getattr(self, name) is not None}
        needed = {_VALUE_OF[self.action]} - {None}
        if given != needed:
            rule = f"{self.action} must have {', '.join(map(str, needed)) or 'no value'}"
            raise ConfigError(f"{rule}, got {', '.join(sorted(given)) or 'none'}")
        for name, number in _NUMBERS.items():
            if (value := getattr(self, name)) is not None:
                try:
                    object.__setattr__(self, name, number(value))  # numpy's are Python's from here
                except (TypeError, ValueError, OverflowError):
                    kind = "number" if number is float else "whole number"
                    raise ConfigError(f"{name} must be a {kind}, got {value!r:.100}") from None
        if self.trial is not None and self.trial < 0:
            raise ConfigError(f"a trial's number must be 0, 1, 2, …, got {self.trial}")
        if self.workers is not None and not 1 <= self.workers <= MAX_WORKERS:
            raise ConfigError(f"workers must be 1 to {MAX_WORKERS:,}, got {self.workers}")
        budget = self.time_budget_seconds
        if budget is not None and not (budget > 0 and math.isfinite(budget)):
            raise ConfigError(f"a time budget must be above 0 s, got {budget}")

    def __str__(self) -> str:
        """Return it as the command line has it, a configuration as JSON."""
        if self.action is Action.ADD:
            return f"add {json.dumps(self.config, ensure_ascii=False)}"
        if self.time_budget_seconds is not None:
            return f"budget {format_seconds(self.time_budget_seconds)}"
        name = _VALUE_OF[self.action]
        return self.action.value if name is None else f"{self.action} {getattr(self, name)}"

    def to_json(self) -> dict[str, Any]:
        """Return the values that it has."""
        values = dataclasses.asdict(self).items()
        return {name: value for name, value in values if value is not None}

    @classmethod
    def from_request(cls, content: bytes, name: str) -> "Order":
        """Read what a request's file holds.

        Args:
            content: Its bytes.
            name: The file's name without suffix, which is the order's id.

        Raises:
            ValueError: It is no order.
        """
        if len(content) > MAX_REQUEST_BYTES:
            raise ValueError(f"a request must have at most {MAX_REQUEST_BYTES:,} bytes")
        values = parsed(content, dict[str, Any], "a request")
        names = [field.name for field in dataclasses.fields(cls)]
        for key in values:
            if key not in names:
                raise ValueError(f"a request's key must be one of {', '.join(names)}, got {key!r}")
        order: Order = record({**values, "id": name}, cls, "a request")
        return order


@dataclasses.dataclass(kw_only=True, slots=True)
class OrderRecord:
    """What became of an order.

    Attributes:
        order: What was ordered.
        ordered_seconds: When its driver read it, seconds from the search's start.
        carried_out_seconds: When it was carried out; None before.
        trial: Number of the trial that it is about or that it became; None without one.
        epochs: Epochs that this trial had when it was carried out.
        refused: Why it was not carried out, or empty.
    """

    order: Order
    ordered_seconds: float
    carried_out_seconds: float | None = None
    trial: int | None = None
    epochs: float | None = None
    refused: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it is still to be carried out."""
        return self.carried_out_seconds is None

    def row(self) -> dict[str, Any]:
        """Return its row of orders.csv."""
        config = self.order.config
        return {
            "order": self.order.action.value,
            "trial": self.trial,
            "workers": self.order.workers,
            "time_budget_seconds": self.order.time_budget_seconds,
            "config": None if config is None else json.dumps(config, ensure_ascii=False),
            "ordered_seconds": self.ordered_seconds,
            "carried_out_seconds": self.carried_out_seconds,
            "epochs_run": self.epochs,
            "refused": self.refused or None,
        }


def check_trial(
    action: Action, record: TrialRecord | None, number: int, *, promotes: bool
) -> None:
    """Refuse an order about a trial that it cannot change.

    Raises:
        ConfigError: There is no such trial, or it has ended for good.
    """
    if record is None:
        raise ConfigError(f"{action} must name a trial that has begun, got {number}")
    waits = promotes and record.status is Status.PRUNED and not record.is_stopped_by_hand
    if record.has_ended and not (waits and action is Action.FINISH):
        raise ConfigError(
            f"{action} must name a trial that runs, got {number}, which is {record.status.value}"
        )
