"""A cell of the user's own in training, in checkpoints, and on the command line."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import own_cell
from model import generate, score, train
from model.config import TrialConfig
from model.errors import CheckpointError, ConfigError
from model.network import own_cells
from model.network.precision import has_bfloat16
from model.scoring.dynamic import dynamic_gain
from model.scoring.objective import PreparedCorpus
from model.system.files import write_sums
from model.training.checkpoint import META_FILE, MODEL_FILE, TRAINING_FILE, load_checkpoint
from model.training.epoch_report import EpochReport
from model.training.named_cells import execute_cells
from model.training.predictor import PredictorMeta, load_network, save_predictor
from model.training.trainer import Trainer
from own_cell import NAME

SMALL = "--corpus book.txt --epochs 1 --hidden-size 24 --batch-size 4 --sequence-length 16"


def without_seconds(reports: list[EpochReport]) -> list[EpochReport]:
    return [dataclasses.replace(report, elapsed_seconds=0.0) for report in reports]


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_cells, "_KNOWN", {})


@pytest.fixture
def config(tiny_config: TrialConfig) -> TrialConfig:
    (name,) = execute_cells([own_cell.write()])
    return dataclasses.replace(tiny_config, cell=name)


@pytest.fixture
def kept(config: TrialConfig, tiny_corpus: PreparedCorpus, tmp_path: Path) -> Path:
    trainer = Trainer(config, tiny_corpus.encoded["lower"])
    next(trainer.reports())
    trainer.save(tmp_path / "kept")
    return tmp_path / "kept"


@pytest.mark.slow
def test_resuming_in_the_middle_gives_the_identical_next_epochs(
    config: TrialConfig, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    config = dataclasses.replace(config, epochs=4, num_layers=2, weight_decay=0.01)
    corpus = tiny_corpus.encoded["lower"]
    expected = list(Trainer(config, corpus).reports())
    assert expected[-1].val_bits_per_char < expected[0].val_bits_per_char < 6
    interrupted, resumed = Trainer(config, corpus), Trainer(config, corpus)
    reports = interrupted.reports()
    next(reports), next(reports)
    interrupted.save(tmp_path / "checkpoint")
    resumed.restore(tmp_path / "checkpoint")
    assert without_seconds(list(resumed.reports())) == without_seconds(expected[2:])


@pytest.mark.slow
def test_letters_have_restored_bits_as_with_our_cells(
    config: TrialConfig, tiny_corpus: PreparedCorpus
) -> None:
    letters = dataclasses.replace(config, cleaning="letters", epochs=1)
    (report,) = Trainer(letters, tiny_corpus.encoded["letters"]).reports()
    corpus = tiny_corpus.encoded["letters"]
    validation = corpus.validation
    kept_share = len(validation.symbols) / validation.num_raw_chars
    assert report.val_bits_per_char == pytest.approx(
        report.val_own_bits_per_char * kept_share + validation.restoration_bits_per_char, rel=1e-3
    )


@pytest.mark.slow
@pytest.mark.skipif(not has_bfloat16(), reason="this CPU has no LSTM in bfloat16")
def test_explicit_bfloat16_trains(config: TrialConfig, tiny_corpus: PreparedCorpus) -> None:
    config = dataclasses.replace(config, precision="bfloat16")
    reports = list(Trainer(config, tiny_corpus.encoded["lower"]).reports())
    assert reports[-1].val_nats_per_char < reports[0].val_nats_per_char


@pytest.mark.slow
def test_network_learns_on_from_what_it_is_scored_on(
    kept: Path, tiny_corpus: PreparedCorpus
) -> None:
    network, _ = load_checkpoint(kept)
    corpus = tiny_corpus.encoded["lower"]
    pattern = np.tile(corpus.validation.symbols[:7], 60)  # another kind of text
    passage = dataclasses.replace(corpus.validation, symbols=pattern)
    foreign = dataclasses.replace(corpus, validation=passage, test=passage)
    gain_bits, num_symbols = dynamic_gain(network, foreign, seed=0)  # type: ignore[arg-type]
    assert gain_bits / num_symbols > 0.1


@pytest.mark.slow
def test_checkpoint_keeps_the_sum_of_the_file(kept: Path) -> None:
    meta = load_checkpoint(kept)[1]
    (known,) = own_cells.known_cells()
    assert meta.cell_sha256 == known.sha256
    Path("my_cells.py").write_bytes(Path("my_cells.py").read_bytes() + b"# another\n")
    execute_cells([NAME])
    rule = f"the file of the cell {NAME} must be the one"
    with pytest.raises(CheckpointError, match=rule):
        load_checkpoint(kept)
    with pytest.raises(ConfigError, match=rule):
        load_network(kept)


def test_checkpoint_executes_nothing_that_it_names(kept: Path) -> None:
    meta = PredictorMeta(weights=(1.0,), ngram_order=None, val_bits_per_char=2.0)
    save_predictor(Path("predictor"), [kept], meta, None)
    own_cells._KNOWN.clear()
    for folder in (kept, Path.cwd(), kept.parent):
        (folder / "my_cells.py").write_text("open('executed', 'w')\n", encoding="utf-8")
    rule = f"the file of the cell {NAME} must be named"
    with pytest.raises(CheckpointError, match=rule):
        load_checkpoint(kept)
    for named_by_the_user in (kept, Path("predictor")):
        with pytest.raises(ConfigError, match=rule):
            load_network(named_by_the_user)
    assert not Path("executed").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "sha256"),
    [(NAME, None), (NAME, "0" * 64), ("lstm", "0" * 64), ("../my_cells.py:MyGRU", None)],
)
def test_checkpoint_with_a_cell_that_it_was_not_made_with_is_refused(
    cell: str, sha256: str | None, kept: Path
) -> None:
    values = json.loads((kept / META_FILE).read_text(encoding="utf-8"))
    values["config"]["cell"], values["cell_sha256"] = cell, sha256
    (kept / META_FILE).write_text(json.dumps(values), encoding="utf-8")
    write_sums(kept, (MODEL_FILE, META_FILE, TRAINING_FILE))
    with pytest.raises(CheckpointError):
        load_checkpoint(kept)


def test_checkpoint_of_our_cells_says_no_sum(trained_checkpoint: Path, tmp_path: Path) -> None:
    assert load_checkpoint(trained_checkpoint)[1].cell_sha256 is None
    older = Path(shutil.copytree(trained_checkpoint, tmp_path / "older"))
    values = json.loads((older / META_FILE).read_text(encoding="utf-8"))
    del values["cell_sha256"]
    (older / META_FILE).write_text(json.dumps(values), encoding="utf-8")
    write_sums(older, (MODEL_FILE, META_FILE, TRAINING_FILE))
    assert load_checkpoint(older)[1].config.cell == "lstm"


@pytest.mark.slow
def test_commands_train_resume_write_and_score(
    tiny_text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("book.txt").write_text(tiny_text, encoding="utf-8")
    named = ["--cell", own_cell.write(Path("cells"))]
    small = SMALL.split()
    assert train.main([*small, *named, "--checkpoint", "kept"]) == 0
    config = json.loads(Path("kept", META_FILE).read_text(encoding="utf-8"))["config"]
    assert config["cell"] == NAME
    Path("best.json").write_text(json.dumps(config), encoding="utf-8")
    commands = {
        train: ["--checkpoint", "kept", "--resume"],
        generate: ["kept", "--chars", "40"],
        score: ["kept", "--text", "book.txt", "--part", "test"],
    }
    for command, flags in commands.items():
        assert command.main([*flags, *named]) == 0, command
    assert train.main([*small, *named, "--config", "best.json"]) == 0
    capsys.readouterr()
    own_cells._KNOWN.clear()
    commands |= {train: [*small, "--config", "best.json"]}
    for command, flags in commands.items():
        assert command.main(flags) == 2, command
        told = capsys.readouterr().err
        assert f"--cell {NAME}" in told and told.count("\n") == 1
    assert train.main(["--checkpoint", "kept", "--resume"]) == 2
    named = ["--cell", own_cell.write(Path("cells"), change=("num_states = 1", "num_states = 2"))]
    capsys.readouterr()
    assert generate.main(["kept", *named]) == 2
    told = capsys.readouterr().err
    assert "must return its output" in told and told.count("\n") == 1


@pytest.mark.slow
def test_weights_of_one_cell_do_not_begin_another(
    tiny_text: str,
    kept: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("book.txt").write_text(tiny_text, encoding="utf-8")
    flags = ["--corpus", "book.txt", "--init", str(kept), "--cell", "gru"]
    assert train.main(flags) == 2
    assert "cell must be that of the weights" in capsys.readouterr().err
