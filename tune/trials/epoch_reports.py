"""A report as an event of the history: live, or from a checkpoint.

A run that resumes from its storage may find checkpoints newer than the copy of its history. So
each checkpoint carries the reports that led to it, and the history gets those that it lacks.
Without them, a trial that continues from a checkpoint would leave a gap.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from model.config import TrialConfig
from model.errors import CheckpointError
from model.system.filesystem import read
from model.system.json_schema import checked, parsed
from tune.records.history import EpochEnded, History, TrialStarted, event_of, line_of
from tune.records.trial import (
    ESTIMATED_MEMORY,
    PEAK_MEMORY,
    SCORES,
    EpochRecord,
    Status,
    TrialRecord,
    trial_id,
)
from tune.storage.checkpoints import (
    CheckpointStore,
    StoredCheckpoint,
    stored_checkpoint,
    unreadable,
)

EPOCHS_FILE = "epochs.json"
"""In Ray's checkpoint folder, beside the project's own."""
READS_AT_ONCE = 16
"""A store takes about as long for 16 small files as for one, and there are thousands of trials."""


def epoch_ended(number: int, result: dict[str, Any], search_seconds: float) -> EpochEnded:
    """Return the event of a trial's report.

    Raises:
        KeyError: The report lacks a figure.
        ValueError: The report's number is invalid.
    """
    return EpochEnded(
        epoch=EpochRecord(
            trial_id=trial_id(number),
            number=number,
            report=checked(result["report"], int, "report"),  # null would become the epoch
            epoch=result["epoch"],
            chars_trained=result["chars_trained"],
            **{name: result[name] for name in SCORES},
            elapsed_seconds=result["elapsed_seconds"],
            search_seconds=search_seconds,
        ),
        precision=result["precision"],
        kernel=result["kernel"],
        num_parameters=result["num_parameters"],
        vocabulary_size=result["vocabulary_size"],
        peak_memory_bytes=result[PEAK_MEMORY],
        estimated_memory_bytes=result[ESTIMATED_MEMORY],
    )


def write_epochs(folder: Path, config: TrialConfig, results: list[dict[str, Any]]) -> None:
    """Write what a trial has reported so far into one of Ray's checkpoint folders.

    Raises:
        CheckpointError: The folder cannot be written.
    """
    values = {"config": config.to_dict(), "epochs": results}
    try:
        (folder / EPOCHS_FILE).write_text(json.dumps(values), encoding="utf-8")
    except OSError as error:  # a full disk's error names no path
        raise CheckpointError(f"cannot write checkpoint {folder}: {error}") from error


def learn_missed(
    history: History, store: CheckpointStore, *, promotes: bool, spent_seconds: float = 0.0
) -> dict[int, list[str]]:
    """Add the epochs that only the checkpoints have, of trials that may have continued.

    Args:
        history: The trials.
        store: Their checkpoints.
        promotes: Whether a trial that ASHA stopped may have continued after the last copy.
        spent_seconds: Seconds of the earlier sessions.

    Returns:
        The checkpoints of the trials in the history, as `newest_first` gives them. A trial that
        began after the history was copied starts again.

    Raises:
        ExternalFault: The storage does not answer.
    """
    found = store.newest_first()
    locations = {number: found[number] for number in history.records if number in found}
    may_have_more = [
        record
        for record in map(history.records.__getitem__, locations)
        if not record.has_ended or (promotes and record.status is Status.PRUNED)
    ]

    def stored_results(record: TrialRecord) -> list[dict[str, Any]]:
        of_trial = map(stored_checkpoint, locations[record.number])
        try:
            return next(reported_first(of_trial, record.config))[1]
        except OSError as error:  # continuing would leave a gap
            raise unreadable(error) from error

    with ThreadPoolExecutor(READS_AT_ONCE, thread_name_prefix="epoch reports") as pool:
        stored = list(pool.map(stored_results, may_have_more))
    for record, results in zip(may_have_more, stored, strict=True):
        _add_missed(history, record, results, spent_seconds)
    return locations


def _add_missed(
    history: History, record: TrialRecord, results: list[dict[str, Any]], spent_seconds: float
) -> None:
    """Add to the history what a trial has reported since."""
    last = record.epochs[-1].report if record.epochs else 0
    missed = [result for result in results if result["report"] > last]
    if missed and record.has_ended:
        history.add(
            TrialStarted(
                number=record.number,
                baseline=record.baseline,
                config=record.config.to_dict(),
                search_seconds=max(history.seconds(), spent_seconds),
                generation=record.generation,
                order_id=record.order_id,
            )
        )
    for result in missed:
        history.add(epoch_ended(record.number, result, history.seconds()))


def reported_first(
    stored_newest_first: Iterable[StoredCheckpoint], config: TrialConfig
) -> Iterator[tuple[StoredCheckpoint, list[dict[str, Any]]]]:
    """Yield a trial's checkpoints with the reports up to each, in the order to use them.

    Args:
        stored_newest_first: The checkpoints; those without reports are yielded last.
        config: The trial's configuration.

    Raises:
        OSError: The storage does not answer.
    """
    silent = []
    for stored in stored_newest_first:
        results = read_epochs(stored, config)
        if results:
            yield stored, results
        else:
            silent.append(stored)
    for stored in silent:
        yield stored, []


def read_epochs(stored: StoredCheckpoint, config: TrialConfig) -> list[dict[str, Any]]:
    """Return a trial's reports up to a checkpoint; none if it is another trial's.

    Raises:
        OSError: The storage does not answer.
    """
    path = f"{stored.path.rpartition('/')[0]}/{EPOCHS_FILE}"
    try:
        written: _Epochs = parsed(read(stored.file_system, path), _Epochs, EPOCHS_FILE)
        known = TrialConfig.from_dict(written.config)  # earlier versions wrote fewer fields
        for result in written.epochs:
            event = event_of(line_of(epoch_ended(0, result, 0.0)))
            assert isinstance(event, EpochEnded)
            event.epoch.check_of(known)
    except (FileNotFoundError, ValueError, TypeError, OverflowError, KeyError):
        return []  # damaged, or never written
    return list(written.epochs) if known == config else []


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Epochs:
    config: dict[str, Any]
    epochs: tuple[dict[str, Any], ...]
