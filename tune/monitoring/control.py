"""Orders to a running search: checked against its records, then left for its driver."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from model.config import ARITHMETIC_FIELDS, TrialConfig
from model.errors import ConfigError
from model.system.durations import parse_duration
from model.system.filesystem import is_uri
from search_spaces import SearchSpace
from tune.monitoring.status import is_driven
from tune.records.history import read_search
from tune.records.load import local_folder
from tune.records.orders import Action, Order, check_trial
from tune.records.run_folder import RunFolder
from tune.storage.requests import leave_request


class Control:
    """Steers a search, from any process that can write to its folder or its storage.

    Each method returns at once; the driver carries out the order within seconds (a stop with the
    trial's next report). All raise a ConfigError if no driver runs trials or a rule is broken.
    """

    def __init__(self, location: str | Path) -> None:
        """Take the run folder, or the run's URI in its storage."""
        self._location = location

    def stop(self, trial: int) -> Order:
        """End a trial with its next report, for good."""
        return self._leave(Order(action=Action.STOP, trial=trial))

    def finish(self, trial: int) -> Order:
        """Keep ASHA from stopping a trial; if it is paused at a rung, it continues next."""
        return self._leave(Order(action=Action.FINISH, trial=trial))

    def add(self, config: TrialConfig | Mapping[str, Any]) -> Order:
        """Try a configuration next.

        Args:
            config: All fields, or some; the others come from the space's base.
        """
        given = config.to_dict() if isinstance(config, TrialConfig) else dict(config)
        values = {
            name: value.item() if isinstance(value, np.generic) else value
            for name, value in given.items()
        }
        return self._leave(Order(action=Action.ADD, config=values))

    def workers(self, most: int) -> Order:
        """Start trials only while fewer than this number run."""
        return self._leave(Order(action=Action.WORKERS, workers=most))

    def budget(self, duration: str | float) -> Order:
        """Replace the time budget, which counts from the search's start: "2h", or seconds."""
        seconds = parse_duration(duration) if isinstance(duration, str) else duration
        return self._leave(Order(action=Action.BUDGET, time_budget_seconds=seconds))

    def end(self) -> Order:
        """End the search as Ctrl-C does: results are written, and it can be resumed."""
        return self._leave(Order(action=Action.END))

    def _leave(self, order: Order) -> Order:
        location = str(self._location)
        with local_folder(location, lambda folder: folder.live_files) as folder:
            self._check(order, folder)
            leave_request(location if is_uri(location) else str(folder.path), order)
        return order

    def _check(self, order: Order, folder: RunFolder) -> None:
        if not is_driven(folder):
            raise ConfigError(
                f"only a running search can be steered, but no driver has {self._location}; to "
                f"continue it, use python -m tune.run --resume"
            )
        check_order(
            order, folder.read_study().space, lambda: read_search(folder.history_file).records
        )


def check_order(
    order: Order, space: SearchSpace, records: Callable[[], Mapping[int, Any]]
) -> None:
    """Refuse an order that a search cannot carry out.

    Args:
        order: The order.
        space: The search space.
        records: Returns the trials.

    Raises:
        ConfigError: The rule that the order breaks.
    """
    if order.trial is not None:
        record = records().get(order.trial)
        check_trial(order.action, record, order.trial, promotes=space.budget.promotes)
    if order.config is not None:
        point_of(order.config, space)


def point_of(values: Mapping[str, Any], space: SearchSpace) -> dict[str, Any]:
    """Return a configuration's point in a space.

    Args:
        values: Fields of a TrialConfig; missing ones come from the base.
        space: The space; fields that are not axes must equal the base's, except the seed and the
            arithmetic, which the machine chooses.

    Raises:
        ConfigError: A field is unknown, has another value, or lies outside its axis.
    """
    base = space.base.to_dict()
    try:
        config = TrialConfig.from_dict({**base, **values}).to_dict()
    except TypeError as error:
        raise ConfigError(f"a configuration must have valid fields: {error}") from error
    for name, value in config.items():
        if name not in (*space.distributions, *ARITHMETIC_FIELDS, "seed") and value != base[name]:
            raise ConfigError(
                f"{name} is no axis of {space.name!r}, so a configuration must have the base's "
                f"value, {base[name]!r}, got {value!r}"
            )
    point = space.point(config)
    if outside := space.outside(point):
        raise ConfigError(f"a configuration must lie in the space {space.name!r}: {outside}")
    return point
