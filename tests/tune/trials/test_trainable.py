"""The trial on a worker, without Ray around it."""

import dataclasses
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pyarrow import fs
from ray.train._internal.storage import StorageContext
from ray.tune import Checkpoint

from held_here import held_here
from model.config import TrialConfig
from model.errors import CorpusError
from model.scoring.objective import PreparedCorpus
from tune.cluster.resources import TrialResources
from tune.records.trial import Outcome
from tune.trials import epoch_reports
from tune.trials import trainable as trainable_module
from tune.trials.epoch_reports import EPOCHS_FILE
from tune.trials.trainable import CharLSTMTrainable, StorageSilent


def proposal(config: TrialConfig, checkpoints: list[str] | None = None) -> dict[str, Any]:
    return {
        "number": 0,
        "baseline": "",
        "config": config.to_dict(),
        "checkpoints": checkpoints or [],
    }


@pytest.fixture
def trainable(tiny_corpus: PreparedCorpus, tiny_config: TrialConfig) -> CharLSTMTrainable:
    trainable = CharLSTMTrainable.__new__(CharLSTMTrainable)
    trainable.setup(proposal(tiny_config), corpus=held_here(tiny_corpus), need=TrialResources())
    return trainable


def without_seconds(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name != "elapsed_seconds"}


def test_threads_are_the_cpus_that_the_trial_was_given(
    tiny_corpus: PreparedCorpus, tiny_config: TrialConfig, trainable: CharLSTMTrainable
) -> None:
    try:
        trainable.setup(
            proposal(tiny_config), corpus=held_here(tiny_corpus), need=TrialResources(cpus=2)
        )
        assert torch.get_num_threads() == 2
        trainable.reset_config(proposal(tiny_config))  # the actor is reused
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_goes_on_from_the_newest_checkpoint_that_can_be_read(
    tiny_config: TrialConfig, trainable: CharLSTMTrainable, tmp_path: Path
) -> None:
    places = []
    for name in ("older", "newer", "newest"):
        expected = without_seconds(trainable.step())
        (tmp_path / name).mkdir()
        trainable.save_checkpoint(str(tmp_path / name))
        places.append(tmp_path / name / "checkpoint")
    damaged = places[1] / "training.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    locations = [str(place) for place in (tmp_path / "gone", places[1], places[0])]
    trainable.reset_config(proposal(tiny_config, locations))
    assert trainable.step()["epoch"] == 2  # from the older one
    # A trial whose driver was killed just before it ended: the end is reported again.
    trainable.reset_config(proposal(tiny_config, [str(places[2])]))
    assert expected["outcome"] == Outcome.FINISHED
    assert without_seconds(trainable.step()) == expected


def test_nothing_readable_starts_again(
    tiny_config: TrialConfig, trainable: CharLSTMTrainable, tmp_path: Path
) -> None:
    first = without_seconds(trainable.step())
    trainable.reset_config(proposal(tiny_config, [str(tmp_path / "gone")]))
    assert without_seconds(trainable.step()) == first


def test_words_and_characters_follow_each_other_on_a_worker(
    tiny_corpus: PreparedCorpus, tiny_config: TrialConfig, trainable: CharLSTMTrainable
) -> None:
    first = without_seconds(trainable.step())
    words = dataclasses.replace(tiny_config, unit="word")
    trainable.reset_config(proposal(words))
    result = trainable.step()
    assert result["vocabulary_size"] == len(tiny_corpus.streams(words).vocabulary)
    assert result["vocabulary_size"] != first["vocabulary_size"]
    trainable.reset_config(proposal(tiny_config))
    assert without_seconds(trainable.step()) == first


def test_what_a_trial_raises_is_reported_in_one_line_and_then_raised(
    tiny_config: TrialConfig, trainable: CharLSTMTrainable
) -> None:
    wide = dataclasses.replace(tiny_config, batch_size=4_096)
    trainable.reset_config(proposal(wide))
    report = trainable.step()
    assert report["outcome"] == Outcome.FAILED
    assert report["error"].startswith("CorpusError: ") and "\n" not in report["error"]
    with pytest.raises(CorpusError, match="batch_size 4096"):
        trainable.step()
    trainable.reset_config(proposal(tiny_config))
    assert trainable.step()["epoch"] == 1


@pytest.mark.slow
def test_next_worker_goes_on_from_the_newest_whole_checkpoint_of_the_session(
    tiny_config: TrialConfig, trainable: CharLSTMTrainable, tmp_path: Path
) -> None:
    places = [tmp_path / f"checkpoint_00000{index}" for index in range(3)]
    for place in places:
        trainable.step()
        place.mkdir()
        trainable.save_checkpoint(str(place))
    (places[1] / "checkpoint" / "training.safetensors").unlink()
    shutil.rmtree(places[2])  # gone with its node
    checkpoint = Checkpoint(str(places[2]), fs.LocalFileSystem())
    trainable.reset_config(proposal(tiny_config))
    trainable.restore(SimpleNamespace(checkpoint=checkpoint))
    assert trainable.step()["epoch"] == 2


@pytest.mark.slow
def test_checkpoint_carries_also_the_epochs_of_the_worker_before(
    tiny_config: TrialConfig, trainable: CharLSTMTrainable, tmp_path: Path
) -> None:
    places = [tmp_path / f"checkpoint_00000{index}" for index in range(3)]
    for index, place in enumerate(places):
        if index == 1:  # another worker takes over, and another driver later
            trainable.reset_config(proposal(tiny_config, [str(places[0] / "checkpoint")]))
        trainable.step()
        place.mkdir()
        trainable.save_checkpoint(str(place))
    trainable.reset_config(proposal(tiny_config, [str(places[2] / "checkpoint")]))
    trainable.step()  # its end is reported again
    trainable.save_checkpoint(str(tmp_path))
    for place, epochs in ((places[2], 3), (tmp_path, 3)):
        reported = json.loads((place / EPOCHS_FILE).read_text())["epochs"]
        assert [result["epoch"] for result in reported] == list(range(1, epochs + 1))


@pytest.mark.slow
def test_checkpoint_without_its_reports_is_left_for_the_one_before(
    tiny_config: TrialConfig, trainable: CharLSTMTrainable, tmp_path: Path
) -> None:
    places = [tmp_path / f"checkpoint_00000{index}" for index in range(2)]
    for place in places:
        trainable.step()
        place.mkdir()
        trainable.save_checkpoint(str(place))
    (places[1] / EPOCHS_FILE).write_text("{", encoding="utf-8")
    locations = [str(place / "checkpoint") for place in places[::-1]]
    trainable.reset_config(proposal(tiny_config, locations))
    assert trainable.step()["epoch"] == 2
    trainable.save_checkpoint(str(tmp_path))
    reported = json.loads((tmp_path / EPOCHS_FILE).read_text())["epochs"]
    assert [result["epoch"] for result in reported] == [1, 2]
    # Where there is no other, it is better than none.
    trainable.reset_config(proposal(tiny_config, locations[:1]))
    assert trainable.step()["epoch"] == 3


def test_trial_does_not_begin_anew_because_its_storage_is_silent(
    tiny_config: TrialConfig,
    trainable: CharLSTMTrainable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trainable.step()
    trainable.save_checkpoint(str(tmp_path))
    trainable.reset_config(proposal(tiny_config, [str(tmp_path / "checkpoint")]))

    def silent(*arguments: object) -> Path:
        raise OSError("AWS Error NETWORK_CONNECTION during GetObject")

    for module, name in ((trainable_module, "fetch"), (epoch_reports, "read")):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, silent)
            with pytest.raises(StorageSilent, match="NETWORK_CONNECTION"):
                trainable.step()  # not reported: Ray gives it another worker
        trainable.reset_config(proposal(tiny_config, [str(tmp_path / "checkpoint")]))
    assert trainable.step()["epoch"] == 2


@pytest.mark.slow
def test_worker_keeps_its_two_newest_checkpoints_and_removes_a_dead_ones_too(
    trainable: CharLSTMTrainable, tmp_path: Path
) -> None:
    storage = StorageContext(
        storage_path=str(tmp_path / "ray"),
        experiment_dir_name="session-1",
        trial_dir_name="trial_00000",
    )
    folder = tmp_path / "ray/session-1/trial_00000"
    for index in range(3):  # the worker before it was killed while it removed them
        (folder / f"checkpoint_{index:06d}").mkdir(parents=True)
    storage.current_checkpoint_index = 2
    trainable._storage = storage
    for epoch in range(3):
        trainable._last_result = trainable.step()
        trainable.save()
        names = sorted(path.name for path in folder.iterdir())
        assert names == [f"checkpoint_{index:06d}" for index in (epoch + 2, epoch + 3)]
    assert (folder / "checkpoint_000005/checkpoint/meta.json").exists()
