"""The best networks in the run folder."""

from pathlib import Path

import pytest

from model.config import TrialConfig
from model.errors import ExternalFault
from model.scoring.objective import PreparedCorpus
from model.training.checkpoint import load_checkpoint
from model.training.trainer import Trainer
from tune.storage import checkpoints
from tune.storage.checkpoints import CheckpointStore, keep_checkpoints


def test_best_whole_checkpoints_take_the_place_of_those_before(
    tiny_config: TrialConfig, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    trainer = Trainer(tiny_config, tiny_corpus.encoded["lower"])
    next(trainer.epochs())
    places = [tmp_path / f"ray/session-1/trial_0000{n}/checkpoint_000000" for n in range(3)]
    for place in places:
        trainer.save(place / "checkpoint")
    kept, store = tmp_path / "checkpoints", CheckpointStore(str(tmp_path / "ray"))
    keep_checkpoints(kept, [2, 0, 1, 9], store, has_ended={0, 1, 2})  # the last one has none
    assert sorted(path.name for path in kept.iterdir()) == ["01", "02", "03"]
    damaged = places[0] / "checkpoint" / "model.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    keep_checkpoints(kept, [0, 1], store, has_ended={0, 1, 2})
    assert [path.name for path in kept.iterdir()] == ["01"]
    load_checkpoint(kept / "01")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoints", "ray"]


@pytest.fixture
def root(tiny_config: TrialConfig, tiny_corpus: PreparedCorpus, tmp_path: Path) -> Path:
    trainer = Trainer(tiny_config, tiny_corpus.encoded["lower"])
    next(trainer.epochs())
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
    keep_checkpoints(kept, [], store, has_ended={0, 1, 2}, may_delete=lambda: False)
    assert left(root) == {0: 2, 1: 2, 2: 2}
    keep_checkpoints(kept, [], store, has_ended={0, 1})
    assert left(root) == {0: 1, 1: 2, 2: 2}


def test_storage_that_does_not_answer_can_be_resumed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*arguments: object) -> Path:
        raise OSError("AWS Error NETWORK_CONNECTION during GetObject")

    monkeypatch.setattr(checkpoints, "fetch", silent)
    with pytest.raises(ExternalFault, match="checkpoints must be readable: AWS Error"):
        keep_checkpoints(
            root.parent / "checkpoints", [0], CheckpointStore(str(root)), has_ended={0}
        )
