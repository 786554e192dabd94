import dataclasses
import json
import math
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from model import generate, train
from model.config import REGIMES, TrialConfig
from model.errors import CheckpointError
from model.scoring.evaluation import held_out_nats
from model.scoring.objective import PreparedCorpus
from model.system.files import SUMS_FILE, write_sums
from model.system.limits import peak_bytes, reset_peak
from model.training.checkpoint import (
    META_FILE,
    MODEL_FILE,
    TRAINING_FILE,
    copy_model,
    load_checkpoint,
    load_training_state,
    read_meta,
)
from model.training.predictor import load_network
from model.training.trainer import Trainer


@pytest.fixture
def copy(trained_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained_checkpoint, tmp_path / "copy"))


def test_loaded_network_gives_equal_logits(
    tiny_corpus: PreparedCorpus, tiny_config: TrialConfig, tmp_path: Path
) -> None:
    trainer = Trainer(tiny_config, tiny_corpus.encoded["lower"])
    next(trainer.reports())
    trainer.save(tmp_path / "checkpoint")
    loaded, meta = load_checkpoint(tmp_path / "checkpoint")
    inputs_TB = torch.zeros((5, 2), dtype=torch.int64)
    assert torch.equal(loaded(inputs_TB)[0], trainer.model(inputs_TB)[0])
    assert meta.config == tiny_config
    assert meta.vocabulary == trainer.corpus.vocabulary
    assert meta.metrics.epoch == 1


@pytest.mark.slow
@pytest.mark.parametrize("regime", REGIMES)
def test_passes_of_a_loaded_network_are_equal_also_after_a_score(
    regime: str, tiny_corpus: PreparedCorpus, tiny_config: TrialConfig, tmp_path: Path
) -> None:
    config = dataclasses.replace(tiny_config, regime=regime, dropout=0.5, epochs=1)
    trainer = Trainer(config, tiny_corpus.encoded["lower"])
    next(trainer.reports())
    trainer.save(tmp_path / "kept")
    loaded = load_network(tmp_path / "kept")
    inputs_TB = torch.arange(10, dtype=torch.int64)[:, None]

    def logits() -> torch.Tensor:
        result = loaded.network(inputs_TB)
        return torch.as_tensor(result[0] if isinstance(result, tuple) else result)

    first = logits()
    torch.testing.assert_close(first, logits())
    held_out_nats(
        loaded.network, tiny_corpus, config, precision="float32", is_test=True, max_symbols=50
    )
    torch.testing.assert_close(first, logits())


def test_generating_needs_two_files_only(copy: Path) -> None:
    (copy / TRAINING_FILE).unlink()
    load_checkpoint(copy)


def test_no_file_is_a_pickle(copy: Path) -> None:
    assert {path.suffix for path in copy.iterdir()} == {".safetensors", ".json", ""}
    json.loads((copy / META_FILE).read_text(encoding="utf-8"))


def test_sums_are_those_of_the_command(copy: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", SUMS_FILE], cwd=copy, check=True)
    copy_model(copy, copy / "kept")
    subprocess.run(["sha256sum", "--check", "--strict", SUMS_FILE], cwd=copy / "kept", check=True)
    assert not (copy / "kept" / TRAINING_FILE).exists()


@pytest.mark.parametrize("name", [MODEL_FILE, META_FILE, TRAINING_FILE, SUMS_FILE])
def test_flipped_bit_is_detected(
    copy: Path, name: str, tiny_corpus: PreparedCorpus, tiny_config: TrialConfig
) -> None:
    trainer = Trainer(tiny_config, tiny_corpus.encoded["lower"])
    trainer.restore(copy)
    chance = random.Random(name)
    whole = (copy / name).read_bytes()
    for _ in range(20):
        data = bytearray(whole)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        (copy / name).write_bytes(data)
        with pytest.raises(CheckpointError):
            trainer.restore(copy)


def test_missing_sums_are_damage_whatever_format_is_named(copy: Path) -> None:
    (copy / SUMS_FILE).unlink()
    with pytest.raises(CheckpointError, match=r"damaged folder .*: it lacks .*SHA256SUMS"):
        load_checkpoint(copy)
    text = (copy / META_FILE).read_text(encoding="utf-8")
    older = text.replace('"format_version": 3', '"format_version": 2')
    (copy / META_FILE).write_text(older, encoding="utf-8")
    with pytest.raises(CheckpointError, match="checkpoint format must be 3, got 2"):
        load_checkpoint(copy)


def test_whoever_may_read_one_file_may_read_all(
    tiny_corpus: PreparedCorpus, tiny_config: TrialConfig, tmp_path: Path
) -> None:
    trainer = Trainer(tiny_config, tiny_corpus.encoded["lower"])
    next(trainer.reports())
    before = os.umask(0o022)
    try:
        trainer.save(tmp_path / "checkpoint")
    finally:
        os.umask(before)
    modes = {
        path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "checkpoint").iterdir()
    }
    assert len(modes) == 4 and {*modes.values()} == {0o644}, modes


@pytest.mark.parametrize("name", [MODEL_FILE, META_FILE])
def test_truncated_file_is_detected(copy: Path, name: str) -> None:
    data = (copy / name).read_bytes()
    (copy / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match=f"damaged .*{name}"):
        load_checkpoint(copy)


def test_missing_folder_and_newer_format_are_refused(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="must be a folder with model"):
        load_checkpoint(tmp_path / "nowhere")
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="use predictor or checkpoints/01"):
        load_checkpoint(tmp_path / "run")
    values = json.loads((copy / META_FILE).read_text(encoding="utf-8"))
    (copy / META_FILE).write_text(json.dumps({**values, "format_version": 99}), encoding="utf-8")
    with pytest.raises(CheckpointError, match="format must be 3, got 99"):
        load_checkpoint(copy)


def test_saving_replaces_whole_and_leaves_nothing_beside(
    tiny_corpus: PreparedCorpus, tiny_config: TrialConfig, tmp_path: Path
) -> None:
    trainer = Trainer(tiny_config, tiny_corpus.encoded["lower"])
    for _ in trainer.reports():
        trainer.save(tmp_path / "kept" / "checkpoint")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["checkpoint"]


@pytest.mark.parametrize("num_renames", [0, 1])
def test_killed_while_saving_leaves_a_checkpoint_to_go_on_from(
    num_renames: int,
    tiny_corpus: PreparedCorpus,
    tiny_config: TrialConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trainer, folder = Trainer(tiny_config, tiny_corpus.encoded["lower"]), tmp_path / "mine"
    reports, real = trainer.reports(), Path.rename
    next(reports)
    trainer.save(folder)
    next(reports)
    renamed: list[Path] = []

    def rename(self: Path, target: Path) -> Path:
        if len(renamed) == num_renames:
            raise KeyboardInterrupt  # which nothing in between catches, as nothing does SIGKILL
        renamed.append(target)
        return real(self, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "rename", rename)
        patch.setattr("os.getpid", lambda: 1)  # the next save is another process's
        trainer.save(folder)
    resumed = Trainer(tiny_config, tiny_corpus.encoded["lower"])
    resumed.restore(folder)
    assert resumed.last_report is not None and resumed.last_report.epoch == 1
    copy_model(folder, tmp_path / "copied" / "mine")
    trainer.save(folder)
    load_checkpoint(folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copied", "mine"]


@pytest.mark.parametrize("name", ["/", "x" * 250, "x" * 256])
def test_name_that_can_be_no_checkpoint_is_refused_in_one_line(
    name: str, tiny_text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("book.txt").write_text(tiny_text, encoding="utf-8")
    flags = ["--corpus", "book.txt", "--hidden-size", "8", "--checkpoint", name]
    for command in (
        lambda: train.main(flags),
        lambda: train.main([*flags, "--resume"]),
        lambda: generate.main([name]),
    ):
        assert command() == 2
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("format_version", [2, 3])
@pytest.mark.parametrize("name", [META_FILE, MODEL_FILE, TRAINING_FILE, SUMS_FILE])
def test_links_and_pipes_in_a_folder_are_refused(
    name: str, format_version: int, copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if format_version == 2:
        (copy / SUMS_FILE).unlink()
        text = (copy / META_FILE).read_text(encoding="utf-8")
        older = text.replace('"format_version": 3', '"format_version": 2')
        (copy / META_FILE).write_text(older, encoding="utf-8")
    elsewhere = tmp_path / "elsewhere"
    if (copy / name).exists():
        (copy / name).rename(elsewhere)
    (copy / name).symlink_to(elsewhere)
    rule = f"a checkpoint must hold its files itself: {copy / name}: "
    for _ in range(2):
        for read in (load_checkpoint, load_training_state, read_meta):
            with pytest.raises(CheckpointError, match=rule):
                read(copy)
        assert generate.main([str(copy), "--chars", "9"]) == 2
        assert capsys.readouterr().err.count("\n") == 1
        (copy / name).unlink()
        os.mkfifo(copy / name)


def test_file_of_settings_is_read_as_far_as_it_can_be_one(copy: Path) -> None:
    with (copy / META_FILE).open("r+b") as file:
        file.truncate(1 << 40)  # it takes no room on the disk
    with pytest.raises(CheckpointError, match=f"damaged .*{META_FILE}: .*at most"):
        load_checkpoint(copy)
    (copy / META_FILE).unlink()


def test_folder_may_itself_be_reached_through_links(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").symlink_to(tmp_path)
    (tmp_path / "best").symlink_to(copy)
    for folder in (tmp_path / "best", tmp_path / "mine" / "best"):
        load_checkpoint(folder)
        load_training_state(folder)
        assert generate.main([str(folder), "--chars", "9"]) == 0


def test_folder_that_one_stands_in_is_a_checkpoint(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy)
    assert generate.main([".", "--chars", "9"]) == 0


def test_unwritable_place_is_one_of_our_errors(
    tiny_corpus: PreparedCorpus, tiny_config: TrialConfig, tmp_path: Path
) -> None:
    trainer = Trainer(tiny_config, tiny_corpus.encoded["lower"])
    next(trainer.reports())
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(CheckpointError, match="cannot write checkpoint"):
        trainer.save(tmp_path / "file" / "checkpoint")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_no_numbers_are_damage(copy: Path, value: float) -> None:
    weights = load_file(copy / MODEL_FILE)
    next(iter(weights.values())).view(-1)[0] = value
    save_file(weights, copy / MODEL_FILE)
    write_sums(copy, (META_FILE, MODEL_FILE))
    with pytest.raises(CheckpointError, match="weights must be finite numbers"):
        load_checkpoint(copy)


@pytest.mark.parametrize(
    "claimed",
    [
        {"num_layers": 50_000_000},
        {"cell": "mogrifier", "mogrifier_rounds": 50_000_000},
        {"regime": "window", "num_layers": 50_000_000},
        {"hidden_size": 10**9},
        {"hidden_size": 2**62},
        {"embedding_dim": 2**62},
        {"regime": "window", "hidden_size": 2**40},
    ],
)
def test_network_that_no_machine_holds_is_one_line(
    claimed: dict[str, object], copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    meta = json.loads((copy / META_FILE).read_text(encoding="utf-8"))
    meta["config"] |= claimed
    (copy / META_FILE).write_text(json.dumps(meta), encoding="utf-8")
    write_sums(copy, (META_FILE, MODEL_FILE))
    with pytest.raises(CheckpointError, match=rf"damaged checkpoint .*{MODEL_FILE}: "):
        load_checkpoint(copy)
    assert generate.main([str(copy)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.skipif(not reset_peak(), reason="this system does not count a process's peak")
def test_small_file_that_claims_a_large_network_takes_no_memory(copy: Path) -> None:
    meta = json.loads((copy / META_FILE).read_text(encoding="utf-8"))
    meta["config"]["hidden_size"] = 12_000  # 2.3 GB of weights
    (copy / META_FILE).write_text(json.dumps(meta), encoding="utf-8")
    write_sums(copy, (META_FILE, MODEL_FILE))
    assert reset_peak()
    before = peak_bytes()
    with pytest.raises(CheckpointError, match=r"must be .* according to the configuration"):
        load_checkpoint(copy)
    after = peak_bytes()
    assert before is not None and after is not None and after - before < 300e6
