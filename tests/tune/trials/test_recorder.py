"""How many dead workers a trial outlives."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import RayTaskError
from ray.tune.experiment import Trial

from model.config import TrialConfig
from model.errors import ExternalFault
from tune.records.history import History, read_search
from tune.records.trial import (
    ESTIMATED_MEMORY,
    ORDER,
    PEAK_MEMORY,
    RUNNING_BEST,
    Outcome,
    Status,
)
from tune.trials import recorder
from tune.trials.recorder import MAX_DEATHS, Recorder
from tune.trials.stopper import SearchStopper


def epoch(number: int) -> dict[str, Any]:
    return {
        "report": number,
        "epoch": number,
        "train_nats_per_char": 1.0,
        "val_nats_per_char": 1.0,
        "val_own_bits_per_char": 2.0,
        "val_bits_per_char": 2.0,
        "elapsed_seconds": 1.0,
        "num_parameters": 10,
        "vocabulary_size": 3,
        "precision": "float32",
        "kernel": "torch",
        **dict.fromkeys(("chars_trained", PEAK_MEMORY, ESTIMATED_MEMORY)),
        RUNNING_BEST: 2.0,
        "outcome": Outcome.TRAINING.value,
    }


def test_only_a_new_epoch_lets_a_trial_lose_workers_again(tmp_path: Path) -> None:
    config = {"number": 0, "baseline": "", "config": TrialConfig(epochs=9).to_dict()}
    trial: Any = SimpleNamespace(trial_id="a", config=config, num_failures=0, max_failures=3)
    told: list[str] = []
    listeners: list[Any] = [
        SimpleNamespace(
            trial_started=lambda record, name=name: told.append(f"{name}: started"),
            epoch_ended=lambda record, name=name: told.append(f"{name}: epoch"),
        )
        for name in ("first", "second")
    ]
    with History(tmp_path / "history.jsonl") as history:
        recording = Recorder(
            history, SearchStopper(None), save=lambda records: None, listeners=listeners
        )
        recording.on_trial_start(trial=trial)
        recording.on_trial_result(trial=trial, result=epoch(1))
        assert trial.max_failures == MAX_DEATHS
        for deaths in (1, 2, 3):  # its worker dies while it saves: the epoch comes again
            trial.num_failures = deaths
            recording.on_trial_start(trial=trial)
            recording.on_trial_result(trial=trial, result=epoch(1))
        assert trial.max_failures == MAX_DEATHS
        recording.on_trial_result(trial=trial, result=epoch(2))
        assert trial.max_failures == 3 + MAX_DEATHS
    assert told[:4] == ["first: started", "second: started", "first: epoch", "second: epoch"]
    for name in ("first", "second"):
        assert told.count(f"{name}: started") == 4 and told.count(f"{name}: epoch") == 5


def test_ended_trial_keeps_no_statistics_of_rays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "drop_older", lambda *_: None)
    config = {"number": 0, "baseline": "", "config": TrialConfig(epochs=9).to_dict()}
    trial = Trial("any", config=config, trial_id="a", stub=True)
    trial.storage = SimpleNamespace(storage_filesystem=None, trial_fs_path="")
    listener: Any = SimpleNamespace(
        **dict.fromkeys(("trial_started", "epoch_ended", "trial_ended"), lambda record: None)
    )
    with History(tmp_path / "history.jsonl") as history:
        recording = Recorder(
            history, SearchStopper(None), save=lambda records: None, listeners=[listener]
        )
        recording.on_trial_start(trial=trial)
        result = {**epoch(1), "outcome": Outcome.FINISHED.value}
        trial.update_last_result({**result, "training_iteration": 1})
        assert trial.run_metadata.metric_analysis and trial.run_metadata.metric_n_steps
        long = len(trial.run_metadata.get_json_state())
        recording.on_trial_result(trial=trial, result=result)
        recording.on_trial_complete(trial=trial)
    assert not trial.run_metadata.metric_analysis and not trial.run_metadata.metric_n_steps
    assert len(trial.run_metadata.get_json_state()) < long / 4
    assert trial.last_result["epoch"] == 1


@pytest.mark.parametrize("why", ["its own time", "the search's time", "by hand"])
def test_history_says_whether_a_baseline_has_had_its_time(why: str, tmp_path: Path) -> None:
    own = why == "its own time"
    stopper = SearchStopper(None, has_had_its_time=lambda result: own)
    stopper.timed_out = why == "the search's time"
    if why == "by hand":
        stopper.stop_trial(0)
    config = {"number": 0, "baseline": "b", "config": TrialConfig(epochs=9).to_dict()}
    trial: Any = SimpleNamespace(
        trial_id="a", config=config, num_failures=0, max_failures=3, run_metadata=SimpleNamespace()
    )
    listener: Any = SimpleNamespace(
        **dict.fromkeys(("trial_started", "epoch_ended", "trial_ended"), lambda record: None)
    )
    path = tmp_path / "history.jsonl"
    with History(path) as history:
        recording = Recorder(history, stopper, save=lambda records: None, listeners=[listener])
        recording.on_trial_start(trial=trial)
        assert stopper("a", {**epoch(1), "config": config})
        recording.on_trial_result(trial=trial, result=epoch(1))
        recording.on_trial_complete(trial=trial)
    for record in (history.records[0], read_search(path).records[0]):
        assert record.status is Status.STOPPED and not record.has_ended
        assert record.is_done == own


def test_history_says_which_order_a_trial_is_of(tmp_path: Path) -> None:
    listener: Any = SimpleNamespace(trial_started=lambda record: None)
    path = tmp_path / "history.jsonl"
    config = {"number": 0, "baseline": "", "config": TrialConfig(epochs=9).to_dict()}
    added: Any = SimpleNamespace(trial_id="a", config={**config, ORDER: "0123456789abcdef"})
    again: Any = SimpleNamespace(trial_id="b", config=config)  # it goes on
    with History(path) as history:
        recording = Recorder(
            history, SearchStopper(None), save=lambda records: None, listeners=[listener]
        )
        for trial in (added, again):
            recording.on_trial_start(trial=trial)
            assert read_search(path).records[0].order_id == "0123456789abcdef"


def test_report_that_comes_again_tells_that_a_trial_was_not_stuck(tmp_path: Path) -> None:
    config = {"number": 0, "baseline": "", "config": TrialConfig(epochs=9).to_dict()}
    trial: Any = SimpleNamespace(trial_id="a", config=config, num_failures=0, max_failures=3)
    listener: Any = SimpleNamespace(
        trial_started=lambda record: None, epoch_ended=lambda record: None
    )
    with History(tmp_path / "history.jsonl") as history:
        recording = Recorder(
            history, SearchStopper(None), save=lambda records: None, listeners=[listener]
        )
        recording.on_trial_start(trial=trial)
        recording.on_trial_result(trial=trial, result=epoch(1))
        trial.num_failures = 1  # it goes on from its checkpoint, and tells of it again
        recording.will_fail(trial, "silent for 10m")
        assert trial.max_failures == 0
        recording.on_trial_result(trial=trial, result=epoch(1))
        assert trial.max_failures == 1 + MAX_DEATHS


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (  # its own disk, where checkpoints are written first
            "model.errors.CheckpointError: cannot write checkpoint /tmp/tmpab/model: [Errno 28] "
            "No space left on device",
            "(node 10.0.0.2)",
        ),
        ("OSError: [Errno 30] Read-only file system: '/tmp/tmpab'", "(node 10.0.0.2)"),
        (  # pyarrow's, which copies to the storage
            "OSError: [Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on "
            "device",
            "(node 10.0.0.2, /nfs/runs/mine/00000)",
        ),
        ("OSError: [Errno 5] Input/output error", "(node 10.0.0.2, /nfs/runs/mine/00000)"),
    ],
)
@pytest.mark.parametrize("recovers", [True, False])
def test_full_disk_is_told_with_its_node_and_path(
    error: str, told: str, recovers: bool, tmp_path: Path
) -> None:
    first, last = (
        RayTaskError("save", f"Traceback (most recent call last):\n{text}", OSError(), ip=ip)
        for text, ip in (("node running low on memory", "10.0.0.1"), (error, "10.0.0.2"))
    )
    failures = f"Failure # 1 (occurred at t)\n{first}\nFailure # 2 (occurred at t)\n{last}\n"
    (tmp_path / "error.txt").write_text(failures, encoding="utf-8")
    config = {"number": 0, "baseline": "", "config": TrialConfig(epochs=9).to_dict()}
    trial: Any = SimpleNamespace(
        trial_id="a",
        config=config,
        num_failures=1,
        error_file=str(tmp_path / "error.txt"),
        storage=SimpleNamespace(trial_fs_path="/nfs/runs/mine/00000"),
    )
    stopper = SearchStopper(None)
    listener: Any = SimpleNamespace(trial_started=lambda record: None)
    with History(tmp_path / "history.jsonl") as history:
        recording = Recorder(history, stopper, save=lambda records: None, listeners=[listener])
        recording.on_trial_start(trial=trial)
        if recovers:
            recording.on_trial_recover(trial=trial)
        else:
            recording.on_trial_error(trial=trial)
        assert history.records[0].status is Status.RUNNING
    assert stopper.stop_all()
    with pytest.raises(ExternalFault) as caught:
        stopper.check()
    line = f"a trial must be able to write its checkpoints: {error} {told}"
    assert str(caught.value) == line
