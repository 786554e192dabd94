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
from typing import Any, ClassVar, Protocol, TypeVar

from model.config import TrialConfig, check_arithmetic
from model.errors import ConfigError
from model.system.files import append_whole, opened_to_append, read_regular
from model.system.json_schema import checked, parsed, record
from tune.records.history_lock import lock, two_drivers
from tune.records.orders import Action, Order, OrderRecord
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

    def apply(self, search: SearchRecord) -> TrialRecord:
        """Open or reopen the trial's record."""
        search.goes_on(self.search_seconds)
        known = search.records.setdefault(
            self.number,
            TrialRecord(
                number=self.number,
                config=TrialConfig.from_dict(self.config),
                baseline=self.baseline,
                generation=self.generation,
                order_id=self.order_id,
            ),
        )
        known.status, known.has_had_its_time = Status.RUNNING, False
        known.search_seconds = known.started_seconds = self.search_seconds
        return known


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

    @property
    def number(self) -> int:
        """The trial's number."""
        return self.epoch.number

    def apply(self, search: SearchRecord) -> TrialRecord:
        """Add the report to the trial's record."""
        known = _begun(search, self.number)
        self.epoch.check_of(known.config)
        known.add_epoch(self.epoch)
        known.precision, known.kernel = self.precision, self.kernel
        known.num_parameters = self.num_parameters
        known.vocabulary_size = self.vocabulary_size
        # In another process, where the trial goes on, its peak may be lower.
        if (self.peak_memory_bytes or 0) > (known.peak_memory_bytes or 0):
            known.peak_memory_bytes = self.peak_memory_bytes
            known.estimated_memory_bytes = self.estimated_memory_bytes
        known.search_seconds = self.epoch.search_seconds
        return known


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrialEnded:
    """A trial ended; its status says how."""

    number: int
    status: Status
    error: str
    search_seconds: float
    has_had_its_time: bool = False

    def apply(self, search: SearchRecord) -> TrialRecord:
        """Close the trial's record."""
        known = _begun(search, self.number)
        known.status, known.error = self.status, self.error
        known.search_seconds = self.search_seconds
        known.has_had_its_time = self.has_had_its_time
        return known


def _begun(search: SearchRecord, number: int) -> TrialRecord:
    if number not in search.records:
        raise ValueError(f"trial {number} must start before it goes on")
    return search.records[number]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class OrderGiven:
    """A user ordered something of the search, and its driver read it."""

    order: Order
    search_seconds: float

    def apply(self, search: SearchRecord) -> OrderRecord:
        """Open the order's record."""
        given = OrderRecord(
            order=self.order, ordered_seconds=self.search_seconds, trial=self.order.trial
        )
        return search.orders.setdefault(self.order.id, given)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class OrderCarriedOut:
    """An order was carried out, or refused; see OrderRecord."""

    id: str
    search_seconds: float
    trial: int | None = None
    epochs: float | None = None
    refused: str = ""

    def apply(self, search: SearchRecord) -> OrderRecord:
        """Close the order's record."""
        if self.id not in search.orders:
            raise ValueError(f"order {self.id} must be given before it is carried out")
        known = search.orders[self.id]
        known.carried_out_seconds, known.refused = self.search_seconds, self.refused
        known.trial = self.trial if known.trial is None else known.trial
        known.epochs = self.epochs
        is_stopped = known.order.action is Action.STOP and not known.refused
        if is_stopped and known.trial in search.records:
            search.records[known.trial].is_stopped_by_hand = True
        return known


_Changed = TypeVar("_Changed", covariant=True)


class Event(Protocol[_Changed]):
    """A dataclass of what happened, which changes what is known of a search."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def apply(self, search: SearchRecord) -> _Changed:
        """Change the record that it is about, and return it.

        Raises:
            ValueError: It cannot follow the events before it, or breaks a rule.
        """


TrialEvent = TrialStarted | EpochEnded | TrialEnded
_EVENTS: dict[str, type[Event[Any]]] = {
    kind.__name__: kind
    for kind in (TrialStarted, EpochEnded, TrialEnded, OrderGiven, OrderCarriedOut, SearchEnded)
}


def line_of(event: Event[Any]) -> bytes:
    """Return an event as a line."""
    values = {"event": type(event).__name__, **dataclasses.asdict(event)}
    return json.dumps(values, ensure_ascii=False).encode() + b"\n"


def event_of(line: bytes) -> Event[Any]:
    """Read an event from its line.

    Raises:
        ValueError: It is no event of ours.
    """
    values = parsed(line, dict[str, Any], "a line of a history")
    name = checked(values.get("event"), str, "event")
    if name not in _EVENTS:
        raise ValueError(f"an event must be one of {', '.join(_EVENTS)}, got {name!r}")
    event: Event[Any] = record(values, _EVENTS[name], name)
    if isinstance(event, TrialEvent):
        _check_number(event)
    return event


def _check_number(event: TrialEvent) -> None:
    """Refuse what is no trial's number or name: folders are named after them.

    Raises:
        ValueError: The rule that it breaks.
    """
    number = event.number
    if number < 0:
        raise ValueError(f"a trial's number must be 0, 1, 2, …, got {number!r}")
    if isinstance(event, EpochEnded) and event.epoch.trial_id != trial_id(number):
        raise ValueError(
            f"trial {number} must be {trial_id(number)}, got {event.epoch.trial_id!r}"
        )


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
                event_of(line).apply(self)
            except ValueError as error:
                self._file.close()
                raise ConfigError(f"damaged history: {path}, line {number}: {error}") from error
        if whole != text:  # a driver was killed while it wrote
            self._file.truncate(len(whole))

    def __enter__(self) -> "History":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, event: Event[_Changed]) -> _Changed:
        """Append an event and return the record that it changes.

        Raises:
            OSError: It cannot be written, for the disk is full, say; then nothing of it is.
        """
        append_whole(self._file, line_of(event))  # half a line is cut off on reading too
        return event.apply(self)

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
            event_of(line).apply(search)
    return search


def whole_lines(data: bytes) -> bytes:
    r"""Return a history without a line that its driver was killed in.

    >>> whole_lines(b'{"a": 1}\n{"b"')
    b'{"a": 1}\n'
    """
    return data[: data.rfind(b"\n") + 1]
