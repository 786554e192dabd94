"""The best networks in the run folder."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from model.config import TrialConfig
from model.errors import ExternalFault
from model.scoring.objective import PreparedCorpus
from model.training.checkpoint import load_checkpoint
from model.training.trainer import Trainer
from tune.records.run_folder import RunFolder
from tune.storage import checkpoints
from tune.storage.checkpoints import CheckpointStore, keep_checkpoints


def configs(config: TrialConfig, *numbers: int) -> dict[int, TrialConfig]:
    """Return the configurations of some trials: each has its own seed."""
    return {number: dataclasses.replace(config, seed=number) for number in numbers}


def seeds(kept: Path) -> dict[str, int]:
    """Return of each rank whose network is kept."""
    return {path.name: load_checkpoint(path)[1].config.seed for path in kept.iterdir()}


@pytest.fixture
def places(tiny_config: TrialConfig, tiny_corpus: PreparedCorpus, tmp_path: Path) -> list[Path]:
    places = [tmp_path / f"ray/session-1/trial_0000{n}/checkpoint_000000" for n in range(3)]
    for place, config in zip(places, configs(tiny_config, 0, 1, 2).values(), strict=True):
        trainer = Trainer(config, tiny_corpus.encoded["lower"])
        next(trainer.reports())
        trainer.save(place / "checkpoint")
    return places


def damage(place: Path) -> None:
    path = place / "checkpoint" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def test_best_whole_checkpoints_take_the_place_of_those_before(
    places: list[Path], tiny_config: TrialConfig, tmp_path: Path
) -> None:
    kept, store = tmp_path / "checkpoints", CheckpointStore(str(tmp_path / "ray"))
    damage(places[0])
    best = configs(tiny_config, 2, 0, 1, 9)  # the last one has none
    assert keep_checkpoints(kept, best, store, ended={0, 1, 2}) == [0, 9]
    assert seeds(kept) == {"01": 2, "02": 1}
    assert keep_checkpoints(kept, configs(tiny_config, 1), store, ended={0, 1, 2}) == []
    assert seeds(kept) == {"01": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoints", "ray"]


def test_copy_that_is_the_only_one_stays_until_it_is_no_longer_among_the_best(
    places: list[Path], tiny_config: TrialConfig, tmp_path: Path
) -> None:
    kept, store = tmp_path / "checkpoints", CheckpointStore(str(tmp_path / "ray"))
    keep_checkpoints(kept, configs(tiny_config, 0, 1), store, ended={0, 1})
    shutil.rmtree(places[0])  # to save disk
    damage(places[1])
    best = configs(tiny_config, 0, 2, 1)
    assert keep_checkpoints(kept, best, store, ended={0, 1, 2}) == []
    assert seeds(kept) == {"01": 0, "02": 2, "03": 1}
    (kept / "01/model.safetensors").write_bytes(b"")
    assert keep_checkpoints(kept, best, store, ended={0, 1, 2}) == [0]
    assert seeds(kept) == {"01": 2, "02": 1}
    shutil.rmtree(tmp_path / "ray")
    assert keep_checkpoints(kept, configs(tiny_config, 1), store, ended={1}) == []
    assert seeds(kept) == {"01": 1}


def test_copy_that_a_killed_session_left_aside_is_kept(
    places: list[Path], tiny_config: TrialConfig, tmp_path: Path
) -> None:
    kept, store = tmp_path / "checkpoints", CheckpointStore(str(tmp_path / "ray"))
    best = configs(tiny_config, 0, 1)
    keep_checkpoints(kept, best, store, ended={0, 1})
    shutil.rmtree(tmp_path / "ray")
    kept.rename(tmp_path / ".checkpoints.replaced")  # killed before the new one was there
    assert [path.name for path in RunFolder(tmp_path).checkpoints()] == ["01", "02"]
    assert keep_checkpoints(kept, best, store, ended={0, 1}) == []
    assert seeds(kept) == {"01": 0, "02": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoints"]


def test_networks_that_are_dropped_leave_none_aside(tmp_path: Path) -> None:
    for name in ("checkpoints", ".checkpoints.replaced", "predictor", ".predictor.replaced"):
        (tmp_path / name / "01").mkdir(parents=True)  # killed before the old ones were removed
    folder = RunFolder(tmp_path)
    folder.drop_checkpoints()
    assert folder.writers() == [] and list(tmp_path.iterdir()) == []


@pytest.fixture
def root(tiny_config: TrialConfig, tiny_corpus: PreparedCorpus, tmp_path: Path) -> Path:
    trainer = Trainer(tiny_config, tiny_corpus.encoded["lower"])
    next(trainer.reports())
    for number in range(3):
        for index in range(2):
            place = f"ray/session-1/trial_0000{number}/checkpoint_00000{index}/checkpoint"
            trainer.save(tmp_path / place)
    return tmp_path / "ray"


def left(root: Path) -> dict[int, int]:
    found = CheckpointStore(str(root)).newest_first()
    return {number: len(locations) for number, locations in found.items()}


def test_nothing_is_removed_but_behind_a_whole_one_of_a_trial_that_has_ended(root: Path) -> None:
    store, kept = CheckpointStore(str(root)), root.parent / "checkpoints"
    # Cut off while it was uploaded: what says that it is there came first.
    (root / "session-1/trial_00001/checkpoint_000001/checkpoint/training.safetensors").unlink()
    keep_checkpoints(kept, {}, store, ended={0, 1, 2}, may_delete=lambda: False)
    assert left(root) == {0: 2, 1: 2, 2: 2}
    keep_checkpoints(kept, {}, store, ended={0, 1})
    assert left(root) == {0: 1, 1: 2, 2: 2}


def test_storage_that_does_not_answer_can_be_resumed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*arguments: object) -> Path:
        raise OSError("AWS Error NETWORK_CONNECTION during GetObject")

    monkeypatch.setattr(checkpoints, "fetch", silent)
    with pytest.raises(ExternalFault, match="checkpoints must be readable: AWS Error"):
        keep_checkpoints(
            root.parent / "checkpoints",
            {0: TrialConfig()},
            CheckpointStore(str(root)),
            ended={0},
        )
