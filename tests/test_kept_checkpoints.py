"""The best networks in the run folder."""

from pathlib import Path

from model.checkpoint import load_checkpoint
from model.config import TrialConfig
from model.objective import PreparedCorpus
from model.trainer import Trainer
from tune.checkpoints import CheckpointStore
from tune.kept_checkpoints import keep_checkpoints


def test_best_whole_checkpoints_take_the_place_of_those_before(
    tiny_config: TrialConfig, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    trainer = Trainer(tiny_config, tiny_corpus.encoded["lower"])
    next(trainer.epochs())
    places = [tmp_path / f"ray/session-1/trial_0000{n}/checkpoint_000000" for n in range(3)]
    for place in places:
        trainer.save(place / "checkpoint")
    kept, store = tmp_path / "checkpoints", CheckpointStore(str(tmp_path / "ray"))
    keep_checkpoints(kept, [2, 0, 1, 9], store)  # the last one has none
    assert sorted(path.name for path in kept.iterdir()) == ["01", "02", "03"]
    damaged = places[0] / "checkpoint" / "model.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    keep_checkpoints(kept, [0, 1], store)
    assert [path.name for path in kept.iterdir()] == ["01"]
    load_checkpoint(kept / "01")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoints", "ray"]
