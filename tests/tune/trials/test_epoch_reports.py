"""What the checkpoints know of a trial's epochs and its history does not."""

import errno
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

from model.config import TrialConfig
from model.errors import CheckpointError, ExternalFault
from model.system.filesystem import read
from tune.records.history import History, TrialEnded, TrialStarted
from tune.records.trial import ESTIMATED_MEMORY, PEAK_MEMORY, Status
from tune.storage.checkpoints import CheckpointStore
from tune.trials import epoch_reports
from tune.trials.epoch_reports import EPOCHS_FILE, epoch_ended, learn_missed, write_epochs

CONFIG = TrialConfig(epochs=12)


def result(epoch: int) -> dict[str, Any]:
    return {
        "report": epoch,
        "epoch": epoch,
        "train_nats_per_char": 1.0,
        "val_nats_per_char": 1.0,
        "val_own_bits_per_char": 2.0,
        "val_bits_per_char": 2.0,
        "elapsed_seconds": float(epoch),
        "precision": "float32",
        "kernel": "torch",
        "num_parameters": 5,
        "vocabulary_size": 3,
        **dict.fromkeys(("chars_trained", PEAK_MEMORY, ESTIMATED_MEMORY)),
    }


def checkpoint(root: Path, trial: str, last: int) -> Path:
    """Store a checkpoint of a trial with its reports up to the last."""
    place = root / f"ray/session-1/{trial}/checkpoint_{last:06d}"
    (place / "checkpoint").mkdir(parents=True)
    (place / "checkpoint/meta.json").write_text("{}", encoding="utf-8")
    write_epochs(place, CONFIG, [result(number) for number in range(1, last + 1)])
    return place


def with_reports(
    history: History, reports: list[int], status: Status | None = None, number: int = 0
) -> None:
    """Give the history a trial that reported, and ended if a status is given."""
    config = CONFIG.to_dict()
    history.add(TrialStarted(number=number, baseline="", config=config, search_seconds=0.0))
    for report in reports:
        history.add(epoch_ended(number, result(report), 1.0))
    if status is not None:
        history.add(TrialEnded(number=number, status=status, error="", search_seconds=2.0))


@pytest.mark.parametrize(
    ("newest", "known"),
    [
        *[("whole", 10), ("with fewer settings", 10)],
        *[("{", 9), ('{"config": {}, "epochs": []}', 9), (None, 9)],
    ],
)
def test_epochs_are_learnt_from_the_newest_checkpoint_that_has_its_reports(
    newest: str | None, known: int, tmp_path: Path
) -> None:
    for epoch in (9, 10):
        place = checkpoint(tmp_path, "trial_00000", epoch)
    if newest is None:
        (place / EPOCHS_FILE).unlink()
    elif newest == "with fewer settings":  # as runs of before 2026-11-29 wrote it
        values = json.loads((place / EPOCHS_FILE).read_text(encoding="utf-8"))
        del values["config"]["reports_per_epoch"]
        (place / EPOCHS_FILE).write_text(json.dumps(values), encoding="utf-8")
    elif newest != "whole":
        (place / EPOCHS_FILE).write_text(newest, encoding="utf-8")
    with History(tmp_path / "history.jsonl") as history:
        with_reports(history, [1, 2, 3, 4, 5])  # as far as the copy goes
        found = learn_missed(history, CheckpointStore(str(tmp_path / "ray")), promotes=True)
        epochs = [epoch.epoch for epoch in history.records[0].epochs]
    assert epochs == list(range(1, known + 1))
    assert [len(of_trial) for of_trial in found.values()] == [2]


@pytest.mark.parametrize(
    ("status", "in_history", "stored", "learnt", "learnt_status"),
    [
        # Promoted after the history was copied, and then its machine was lost.
        (Status.PRUNED, [1, 2, 3], 5, [1, 2, 3, 4, 5], Status.RUNNING),
        (Status.PRUNED, [1, 2, 3], 3, [1, 2, 3], Status.PRUNED),
        (Status.COMPLETE, [1, 2, 3], 5, [1, 2, 3], Status.COMPLETE),
        # Earlier versions left gaps.
        (Status.STOPPED, [1, 2, 3, 6], 6, [1, 2, 3, 6], Status.STOPPED),
        (Status.PRUNED, [1, 2, 3, 6], 7, [1, 2, 3, 6, 7], Status.RUNNING),
    ],
)
def test_trial_that_may_have_gone_on_has_all_its_epochs(
    status: Status,
    in_history: list[int],
    stored: int,
    learnt: list[int],
    learnt_status: Status,
    tmp_path: Path,
) -> None:
    checkpoint(tmp_path, "trial_00000", 3)
    if stored > 3:
        checkpoint(tmp_path, "trial_00000-2", stored)
    with History(tmp_path / "history.jsonl") as history:
        with_reports(history, in_history, status)
        learn_missed(history, CheckpointStore(str(tmp_path / "ray")), promotes=True)
        record = history.records[0]
    assert [epoch.report for epoch in record.epochs] == learnt
    assert record.status is learnt_status
    with History(tmp_path / "history.jsonl") as history:  # as the next session reads it
        assert history.records[0] == record


def test_many_trials_are_read_at_once_and_told_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers, others = range(8), threading.Semaphore(0)

    def slow_for_the_first(file_system: fs.FileSystem, path: str) -> bytes:
        if "trial_00000" in path:  # it comes after all the others
            for _ in numbers[1:]:
                assert others.acquire(timeout=120)
        data = read(file_system, path)
        others.release()
        return data

    for number in numbers:
        checkpoint(tmp_path, f"trial_{number:05d}", 2)
    monkeypatch.setattr(epoch_reports, "read", slow_for_the_first)
    with History(tmp_path / "history.jsonl") as history:
        for number in numbers:
            with_reports(history, [1], Status.PRUNED, number)
        store = CheckpointStore(str(tmp_path / "ray"))
        assert sorted(learn_missed(history, store, promotes=True)) == [*numbers]
    lines = map(json.loads, (tmp_path / "history.jsonl").read_text(encoding="utf-8").splitlines())
    learnt = [event["number"] for event in [*lines][-len(numbers) * 2 :: 2]]
    assert learnt == [*numbers]
    assert all(history.records[number].epochs_run == 2 for number in numbers)


def test_history_gets_no_gap_because_the_storage_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "ray/session-1/trial_00000/checkpoint_000000/checkpoint"
    place.mkdir(parents=True)
    (place / "meta.json").write_text("{}", encoding="utf-8")

    def silent(*arguments: object) -> bytes:
        raise OSError("AWS Error NETWORK_CONNECTION during GetObject")

    monkeypatch.setattr(epoch_reports, "read", silent)
    with History(tmp_path / "history.jsonl") as history:
        with_reports(history, [])
        with pytest.raises(ExternalFault, match="must be readable: AWS Error NETWORK_CONNECTION"):
            learn_missed(history, CheckpointStore(str(tmp_path / "ray")), promotes=True)


def test_reports_that_cannot_be_written_say_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # of a write: without a name

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(CheckpointError, match=f"cannot write checkpoint {tmp_path}: .*No space"):
        write_epochs(tmp_path, CONFIG, [])
