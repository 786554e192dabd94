"""A search's history: one line a start, an epoch, an end; the tables are made from it.

Each event is appended and handed to the operating system at once, so a driver that is killed
loses none. Live and read again, a record comes from its events by the same code. The open
file is also the lock of its run: a second driver is refused, and a dead one holds nothing.
"""

import contextlib
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.config import TrialConfig, check_arithmetic
from model.errors import ConfigError
from model.system.files import append_whole, opened_to_append, read_regular
from model.system.json_schema import checked, parsed, record
from tune.records.history_lock import lock, two_drivers
from tune.records.orders import (
    OrderCarriedOut,
    OrderEvent,
    OrderGiven,
    OrderRecord,
    apply_order,
)
from tune.records.search_record import SearchEnded, SearchRecord
from tune.records.trial import EpochRecord, Status, TrialRecord, trial_id


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrialStarted:
    """Start of a trial, or its continuation after an interruption."""

    number: int
    baseline: str
    config: dict[str, Any]
    search_seconds: float
    generation: int | None = None
    order_id: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EpochEnded:
    """A trial reported an epoch; a repeated epoch replaces the earlier one and what followed."""

    epoch: EpochRecord
    precision: str
    num_parameters: int
    vocabulary_size: int
    peak_memory_bytes: int | None = None
    estimated_memory_bytes: int | None = None
    kernel: str = "torch"

    def __post_init__(self) -> None:
        check_arithmetic(self.precision, self.kernel)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrialEnded:
    """A trial ended; its status says how."""

    number: int
    status: Status
    error: str
    search_seconds: float
    has_had_its_time: bool = False


TrialEvent = TrialStarted | EpochEnded | TrialEnded
Event = TrialEvent | OrderEvent | SearchEnded
_EVENTS: dict[str, type[Event]] = {
    kind.__name__: kind
    for kind in (TrialStarted, EpochEnded, TrialEnded, OrderGiven, OrderCarriedOut, SearchEnded)
}


def line_of(event: Event) -> bytes:
    """Return an event as a line."""
    values = {"event": type(event).__name__, **dataclasses.asdict(event)}
    return json.dumps(values, ensure_ascii=False).encode() + b"\n"


def event_of(line: bytes) -> Event:
    """Read an event from its line.

    Raises:
        ValueError: It is no event of ours.
    """
    values = parsed(line, dict[str, Any], "a line of a history")
    name = checked(values.get("event"), str, "event")
    if name not in _EVENTS:
        raise ValueError(f"an event must be one of {', '.join(_EVENTS)}, got {name!r}")
    event: Event = record(values, _EVENTS[name], name)
    if isinstance(event, TrialEvent):
        _check_number(event)
    return event


def _check_number(event: TrialEvent) -> None:
    """Refuse what is no trial's number or name: folders are named after them.

    Raises:
        ValueError: The rule that it breaks.
    """
    number = _number(event)
    if number < 0:
        raise ValueError(f"a trial's number must be 0, 1, 2, …, got {number!r}")
    if isinstance(event, EpochEnded) and event.epoch.trial_id != trial_id(number):
        raise ValueError(
            f"trial {number} must be {trial_id(number)}, got {event.epoch.trial_id!r}"
        )


def _number(event: TrialEvent) -> int:
    return event.epoch.number if isinstance(event, EpochEnded) else event.number


def apply_event(search: SearchRecord, event: TrialEvent) -> TrialRecord:
    """Change the record of an event's trial, and return it.

    Raises:
        ValueError: The trial has not started, or its configuration breaks a rule.
    """
    known = search.records.get(_number(event))
    if isinstance(event, TrialStarted):
        search.goes_on(event.search_seconds)
        known = search.records.setdefault(
            event.number,
            TrialRecord(
                number=event.number,
                config=TrialConfig.from_dict(event.config),
                baseline=event.baseline,
                generation=event.generation,
                order_id=event.order_id,
            ),
        )
        known.status, known.has_had_its_time = Status.RUNNING, False
        known.search_seconds = known.started_seconds = event.search_seconds
    elif known is None:
        raise ValueError(f"trial {_number(event)} must start before it goes on")
    elif isinstance(event, EpochEnded):
        epoch = event.epoch
        epoch.check_of(known.config)
        known.add_epoch(epoch)
        known.precision, known.kernel = event.precision, event.kernel
        known.num_parameters = event.num_parameters
        known.vocabulary_size = event.vocabulary_size
        # In another process, where the trial goes on, its peak may be lower.
        if (event.peak_memory_bytes or 0) > (known.peak_memory_bytes or 0):
            known.peak_memory_bytes = event.peak_memory_bytes
            known.estimated_memory_bytes = event.estimated_memory_bytes
        known.search_seconds = epoch.search_seconds
    else:
        known.status, known.error = event.status, event.error
        known.search_seconds = event.search_seconds
        known.has_had_its_time = event.has_had_its_time
    return known


def _apply(event: Event, search: SearchRecord) -> None:
    if isinstance(event, TrialEvent):
        apply_event(search, event)
    elif isinstance(event, SearchEnded):
        search.ended = event
    else:
        apply_order(search.orders, search.records, event)


class History(SearchRecord):
    """The events of a search, in a file, and the record that they make; a context manager.

    Attributes:
        is_locked: Whether other drivers are kept out; not on a file system without locks.
    """

    def __init__(self, path: Path) -> None:
        """Open a history, or begin one; what is there already is read.

        Raises:
            ConfigError: Another process has it open, it cannot be written, or it is damaged.
        """
        super().__init__()
        try:
            self._file = opened_to_append(path)
        except OSError as error:
            reason = f"{path.name}: {error.strerror}"
            raise ConfigError(
                f"a run that goes on must be writable, got {path.parent}: {reason}"
            ) from error
        try:
            self.is_locked = lock(self._file)
        except BlockingIOError as error:
            self._file.close()
            raise two_drivers(path) from error
        except OSError:
            self._file.close()
            raise
        self._file.seek(0)
        text = self._file.read()
        whole = whole_lines(text)
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                _apply(event_of(line), self)
            except ValueError as error:
                self._file.close()
                raise ConfigError(f"damaged history: {path}, line {number}: {error}") from error
        if whole != text:  # a driver was killed while it wrote
            self._file.truncate(len(whole))

    def __enter__(self) -> "History":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add_order(self, event: OrderEvent) -> OrderRecord:
        """Append an event and return the record of its order.

        Raises:
            OSError: It cannot be written; then nothing of it is.
        """
        append_whole(self._file, line_of(event))
        return apply_order(self.orders, self.records, event)

    def add(self, event: TrialEvent) -> TrialRecord:
        """Append an event and return the record of its trial.

        Raises:
            OSError: It cannot be written, for the disk is full, say; then nothing of it is.
        """
        append_whole(self._file, line_of(event))  # half a line is cut off on reading too
        return apply_event(self, event)

    def end(self, event: SearchEnded) -> None:
        """Append the search's end.

        Raises:
            OSError: It cannot be written; then nothing of it is.
        """
        append_whole(self._file, line_of(event))
        self.ended = event

    def seconds(self) -> float:
        """Return the seconds that the search has run, up to its last event."""
        return seconds_run(self.records)


def seconds_run(records: Mapping[int, TrialRecord]) -> float:
    """Return the seconds that a search has run, up to the last event of its records."""
    return max((record.search_seconds for record in records.values()), default=0.0)


def read_search(path: Path) -> SearchRecord:
    """Return what a history tells that a driver may be writing; nothing where there is none.

    A line that is not whole yet is left out, and so is all that a damaged file has from the
    damage on. A driver may have been killed before it began one.

    Raises:
        ConfigError: It cannot be read.
    """
    search = SearchRecord()
    try:
        text = read_regular(path)
    except FileNotFoundError:
        return search
    except OSError as error:
        raise ConfigError(f"a history must be readable: {path}: {error.strerror}") from error
    with contextlib.suppress(ValueError):
        for line in whole_lines(text).splitlines():
            _apply(event_of(line), search)
    return search


def whole_lines(data: bytes) -> bytes:
    r"""Return a history without a line that its driver was killed in.

    >>> whole_lines(b'{"a": 1}\n{"b"')
    b'{"a": 1}\n'
    """
    return data[: data.rfind(b"\n") + 1]
