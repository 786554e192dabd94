"""The events of a search: what each line of its history says, and does to a trial's record."""

import dataclasses
import json
from typing import Any

from model.config import TrialConfig
from tune.trial_record import EpochRecord, Status, TrialRecord, trial_id


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrialStarted:
    """A trial began, or goes on after an interruption."""

    number: int
    baseline: str
    config: dict[str, Any]
    search_seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EpochEnded:
    """A trial reported an epoch; a repeated epoch replaces the earlier one and what followed."""

    epoch: EpochRecord
    precision: str
    num_parameters: int
    vocabulary_size: int
    peak_memory_bytes: int | None = None
    estimated_memory_bytes: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrialEnded:
    """A trial ended; its status says how."""

    number: int
    status: Status
    error: str
    search_seconds: float


Event = TrialStarted | EpochEnded | TrialEnded
_EVENTS: dict[str, type[Event]] = {
    kind.__name__: kind for kind in (TrialStarted, EpochEnded, TrialEnded)
}


def line_of(event: Event) -> bytes:
    """Return an event as a line."""
    values = {"event": type(event).__name__, **dataclasses.asdict(event)}
    return json.dumps(values, ensure_ascii=False).encode() + b"\n"


def event_of(line: bytes) -> Event:
    """Read an event from its line.

    Raises:
        ValueError: It is no event of ours; or KeyError, TypeError, AttributeError.
    """
    values = json.loads(line)
    kind = _EVENTS[values.pop("event")]
    if kind is EpochEnded:
        values["epoch"] = EpochRecord(**values["epoch"])
    if kind is TrialEnded:
        values["status"] = Status(values["status"])
    event = kind(**values)
    _check_number(event)
    return event


def _check_number(event: Event) -> None:
    """Refuse what is no trial's number or name: folders are named after them.

    Raises:
        ValueError: The rule that it breaks.
    """
    number = event.epoch.number if isinstance(event, EpochEnded) else event.number
    if type(number) is not int or number < 0:
        raise ValueError(f"a trial's number must be 0, 1, 2, …, got {number!r}")
    if isinstance(event, EpochEnded) and event.epoch.trial_id != trial_id(number):
        raise ValueError(
            f"trial {number} must be {trial_id(number)}, got {event.epoch.trial_id!r}"
        )


def apply_event(records: dict[int, TrialRecord], event: Event) -> TrialRecord:
    """Change the record of an event's trial, and return it."""
    if isinstance(event, TrialStarted):
        record = records.setdefault(
            event.number,
            TrialRecord(
                number=event.number,
                config=TrialConfig.from_dict(event.config),
                baseline=event.baseline,
            ),
        )
        record.status, record.search_seconds = Status.RUNNING, event.search_seconds
    elif isinstance(event, EpochEnded):
        epoch = event.epoch
        record = records[epoch.number]
        record.add_epoch(epoch)
        record.precision = event.precision
        record.num_parameters = event.num_parameters
        record.vocabulary_size = event.vocabulary_size
        # In another process, where the trial goes on, its peak may be lower.
        if (event.peak_memory_bytes or 0) > (record.peak_memory_bytes or 0):
            record.peak_memory_bytes = event.peak_memory_bytes
            record.estimated_memory_bytes = event.estimated_memory_bytes
        record.search_seconds = epoch.search_seconds
    else:
        record = records[event.number]
        record.status, record.error = event.status, event.error
        record.search_seconds = event.search_seconds
    return record
