"""What the checkpoints know of a trial's epochs and its history does not."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from model.config import TrialConfig
from model.errors import CheckpointError, ExternalFault
from tune.records.history import History, TrialStarted
from tune.storage.checkpoints import CheckpointStore
from tune.trials import epoch_reports
from tune.trials.epoch_reports import EPOCHS_FILE, epoch_ended, learn_missed, write_epochs

CONFIG = TrialConfig(epochs=12)


def result(epoch: int) -> dict[str, Any]:
    return {
        "epoch": epoch,
        "train_nats_per_char": 1.0,
        "val_nats_per_char": 1.0,
        "val_own_bits_per_char": 2.0,
        "val_bits_per_char": 2.0,
        "elapsed_seconds": float(epoch),
        "precision": "float32",
        "num_parameters": 5,
        "vocabulary_size": 3,
    }


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
        place = tmp_path / f"ray/session-1/trial_00000/checkpoint_{epoch:06d}"
        (place / "checkpoint").mkdir(parents=True)
        (place / "checkpoint/meta.json").write_text("{}", encoding="utf-8")
        write_epochs(place, CONFIG, [result(number) for number in range(1, epoch + 1)])
    if newest is None:
        (place / EPOCHS_FILE).unlink()
    elif newest == "with fewer settings":  # as runs of before 2026-11-29 wrote it
        values = json.loads((place / EPOCHS_FILE).read_text(encoding="utf-8"))
        del values["config"]["reports_per_epoch"]
        (place / EPOCHS_FILE).write_text(json.dumps(values), encoding="utf-8")
    elif newest != "whole":
        (place / EPOCHS_FILE).write_text(newest, encoding="utf-8")
    with History(tmp_path / "history.jsonl") as history:
        config = CONFIG.to_dict()
        history.add(TrialStarted(number=0, baseline="", config=config, search_seconds=0.0))
        for epoch in range(1, 6):  # as far as the copy goes
            history.add(epoch_ended(0, result(epoch), 1.0))
        found = learn_missed(history, CheckpointStore(str(tmp_path / "ray")))
        epochs = [epoch.epoch for epoch in history.records[0].epochs]
    assert epochs == list(range(1, known + 1))
    assert [len(of_trial) for of_trial in found.values()] == [2]


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
        config = CONFIG.to_dict()
        history.add(TrialStarted(number=0, baseline="", config=config, search_seconds=0.0))
        with pytest.raises(ExternalFault, match="must be readable: AWS Error NETWORK_CONNECTION"):
            learn_missed(history, CheckpointStore(str(tmp_path / "ray")))


def test_reports_that_cannot_be_written_say_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # of a write: without a name

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(CheckpointError, match=f"cannot write checkpoint {tmp_path}: .*No space"):
        write_epochs(tmp_path, CONFIG, [])
