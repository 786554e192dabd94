"""A network of each cell, from `model.train` to a text and its scores."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from model import generate, score, train
from model.config import CELLS, TrialConfig
from model.network.precision import has_bfloat16
from model.scoring.objective import PreparedCorpus
from model.system.files import write_sums
from model.training.checkpoint import META_FILE, MODEL_FILE, TRAINING_FILE, load_checkpoint
from model.training.trainer import Trainer

SMALL = "--epochs 2 --hidden-size 24 --batch-size 4 --sequence-length 16"


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS)
def test_network_is_trained_written_from_and_scored(
    cell: str, tiny_text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("book.txt").write_text(tiny_text, encoding="utf-8")
    flags = ["--corpus", "book.txt", "--checkpoint", "kept", *SMALL.split()]
    assert train.main([*flags, "--cell", cell, "--mogrifier-rounds", "3"]) == 0
    meta = load_checkpoint(Path("kept"))[1]
    assert meta.config.cell == cell and meta.config.mogrifier_rounds == 3
    assert meta.metrics.val_bits_per_char < 4.5
    written = []
    for _ in range(2):
        capsys.readouterr()
        assert generate.main(["kept", "--chars", "200", "--seed", "5"]) == 0
        written.append(capsys.readouterr().out)
    assert written[0] == written[1] and len(written[0]) >= 200
    assert score.main(["kept", "--text", "book.txt", "--part", "test"]) == 0
    assert "bits per character" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS)
def test_explicit_bfloat16_trains(
    cell: str, tiny_corpus: PreparedCorpus, tiny_config: TrialConfig
) -> None:
    if not has_bfloat16():
        pytest.skip("this CPU has none")
    config = dataclasses.replace(tiny_config, cell=cell, precision="bfloat16")
    reports = list(Trainer(config, tiny_corpus.encoded["lower"]).reports())
    assert reports[-1].val_nats_per_char < reports[0].val_nats_per_char


def test_checkpoint_of_before_there_were_cells_is_an_lstm(
    trained_checkpoint: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    shutil.copytree(trained_checkpoint, old)
    values = json.loads((old / META_FILE).read_text(encoding="utf-8"))
    del values["config"]["cell"], values["config"]["mogrifier_rounds"]
    (old / META_FILE).write_text(json.dumps(values), encoding="utf-8")
    write_sums(old, (MODEL_FILE, META_FILE, TRAINING_FILE))
    assert load_checkpoint(old)[1].config.cell == "lstm"
