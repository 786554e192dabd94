"""A predictor's folder: read like a checkpoint, checked like a stranger's word."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors.numpy import save_file

from model import generate, train
from model.errors import CheckpointError
from model.scoring.mixture import Mixture
from model.scoring.ngram_cache import NgramCache
from model.scoring.objective import PreparedCorpus
from model.system.files import SUMS_FILE, write_sums
from model.training.checkpoint import META_FILE
from model.training.predictor import (
    NGRAM_FILE,
    PREDICTOR_FILE,
    PredictorMeta,
    is_predictor,
    load_network,
    save_predictor,
)


@pytest.fixture
def predictor(trained_checkpoint: Path, tiny_corpus: PreparedCorpus, tmp_path: Path) -> Path:
    folder = tmp_path / "predictor"
    meta = PredictorMeta(weights=(0.5, 0.2, 0.3), ngram_order=4, val_bits_per_char=1.25)
    counted = tiny_corpus.encoded["lower"].train.symbols
    save_predictor(folder, [trained_checkpoint, trained_checkpoint], meta, counted)
    return folder


def test_it_is_read_like_a_checkpoint(
    predictor: Path, trained_checkpoint: Path, tiny_corpus: PreparedCorpus
) -> None:
    assert is_predictor(predictor) and not is_predictor(trained_checkpoint)
    loaded = load_network(predictor)
    assert isinstance(loaded.network, Mixture)
    assert loaded.network.weights == (0.5, 0.2, 0.3) and loaded.network.ngram is not None
    assert loaded.vocabulary == tiny_corpus.encoded["lower"].vocabulary
    assert loaded.description == (
        "1.2500 validation bits per character: predictor of 2 networks and a 4-gram, lower"
    )
    assert loaded.cache is None
    assert not any(module.training for module in loaded.network.modules())
    alone = load_network(trained_checkpoint)
    assert not isinstance(alone.network, Mixture) and "1 x 24, lower, epoch " in alone.description


@pytest.mark.parametrize("name", [PREDICTOR_FILE, NGRAM_FILE, SUMS_FILE, "02"])
def test_links_in_it_are_refused_but_it_may_be_reached_through_one(
    name: str, predictor: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").symlink_to(predictor)
    load_network(tmp_path / "mine")
    (predictor / name).rename(tmp_path / "elsewhere")
    (predictor / name).symlink_to(tmp_path / "elsewhere")
    rule = f"a checkpoint must hold its files itself: .*/{name}: "
    with pytest.raises(CheckpointError, match=rule):
        load_network(predictor)


def test_command_line_writes_from_it(predictor: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for flags in ([], ["--greedy"], ["--passages", "2", "--top-p", "0.9"]):
        assert generate.main([str(predictor), "--chars", "30", *flags]) == 0
        assert len(capsys.readouterr().out) > 30
    assert train.main(["--init", str(predictor), "--corpus", "python-docs"]) == 2
    assert "a checkpoint must be a folder with model.safetensors" in capsys.readouterr().err


def test_it_reads_with_its_cache_and_one_of_before_without(
    trained_checkpoint: Path, tmp_path: Path
) -> None:
    cache = NgramCache(shortest=4, longest=12, escape_weight=20.0)
    meta = PredictorMeta(weights=(1.0,), ngram_order=None, val_bits_per_char=1.5, cache=cache)
    folder = tmp_path / "cached"
    save_predictor(folder, [trained_checkpoint], meta, None)
    loaded = load_network(folder)
    assert loaded.description.endswith("lower; scored with a cache, written without")
    assert loaded.cache == cache
    values = json.loads((folder / PREDICTOR_FILE).read_text(encoding="utf-8"))
    del values["cache"]
    (folder / PREDICTOR_FILE).write_text(json.dumps(values), encoding="utf-8")
    write_sums(folder, [PREDICTOR_FILE])
    assert load_network(folder).cache is None


def test_predictor_needs_no_ngram(trained_checkpoint: Path, tmp_path: Path) -> None:
    meta = PredictorMeta(weights=(1.0,), ngram_order=None, val_bits_per_char=1.5)
    save_predictor(tmp_path / "one", [trained_checkpoint], meta, None)
    assert load_network(tmp_path / "one").description.endswith("predictor of 1 network, lower")


def _values(folder: Path, **changes: object) -> None:
    path = folder / PREDICTOR_FILE
    values = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    path.write_text(json.dumps(values), encoding="utf-8")


def _symbols(folder: Path, symbols: np.ndarray) -> None:
    save_file({"symbols": symbols}, folder / NGRAM_FILE)


def _tensors(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    safetensors.torch.save_file(tensors, folder / NGRAM_FILE)


def _other_vocabulary(folder: Path) -> None:
    path = folder / "02" / META_FILE
    values = json.loads(path.read_text(encoding="utf-8"))
    values["vocabulary"] = values["vocabulary"][:-1] + "\uffff"
    path.write_text(json.dumps(values), encoding="utf-8")
    write_sums(folder / "02", ["model.safetensors", META_FILE])


_TWO = ("symbols", "more")
DAMAGES: list[tuple[Callable[[Path], None], str]] = [
    (lambda f: _values(f, weights=[0.5, 0.2, float("nan")]), "finite"),
    (lambda f: _values(f, weights=[0.9, 0.2, 0.3]), "sum of 1"),
    (lambda f: _values(f, weights=[1.5, -0.8, 0.3]), "at least 0"),
    (lambda f: _values(f, weights=[]), "at least 0"),
    (lambda f: _values(f, weights="all"), "weights"),
    (lambda f: _values(f, weights=[1.0]), "networks must be 1 to 8, got 0"),
    (lambda f: _values(f, weights=[0.05] * 20), "networks must be 1 to 8"),
    (
        lambda f: _values(f, cache={"shortest": 9, "longest": 99, "escape_weight": 1.0}),
        "1 to 32 symbols, got 9 to 99",
    ),
    (lambda f: _values(f, cache={"shortest": 4, "longest": 9}), "escape_weight"),
    (lambda f: _values(f, cache=[4, 20.0]), "cache must be an object"),
    (lambda f: _values(f, ngram_order=10**9), "ngram_order must be in 1 to 12"),
    (lambda f: _values(f, format_version=2), "format must be 1, got 2"),
    (lambda f: (f / PREDICTOR_FILE).write_text("[" * 100_000), "nested too deeply"),
    (lambda f: (f / PREDICTOR_FILE).write_text("{}"), "format_version"),
    (lambda f: (f / NGRAM_FILE).unlink(), NGRAM_FILE),
    (lambda f: (f / NGRAM_FILE).write_bytes(b"nothing"), NGRAM_FILE),
    (lambda f: _symbols(f, np.array([[0, 1]], dtype=np.uint8)), "in one row"),
    (lambda f: _symbols(f, np.array([0, 250], dtype=np.uint8)), "symbols below"),
    (lambda f: _symbols(f, np.array([0, -1], dtype=np.int16)), "symbols below"),
    (lambda f: _symbols(f, np.array([0.5])), "whole numbers"),
    (lambda f: _tensors(f, {"symbols": torch.zeros(3, dtype=torch.bfloat16)}), "whole numbers"),
    (lambda f: _tensors(f, {"other": torch.zeros(3, dtype=torch.int16)}), "must hold 'symbols'"),
    (
        lambda f: _tensors(
            f, {name: torch.zeros(3, dtype=torch.uint8) for name in ("symbols", "b")}
        ),
        "must hold 'symbols'",
    ),
    (lambda f: _symbols(f, np.zeros(0, dtype=np.uint8)), "symbols below"),
    (_other_vocabulary, "02 has other symbols"),
    (lambda f: shutil.rmtree(f / "02"), "02"),
]


@pytest.mark.parametrize(("damage", "reason"), DAMAGES)
def test_damaged_predictor_is_one_line(
    predictor: Path,
    damage: Callable[[Path], None],
    reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damage(predictor)
    with pytest.raises(CheckpointError):  # by its sums
        load_network(predictor)
    names = [name for name in (PREDICTOR_FILE, NGRAM_FILE) if (predictor / name).exists()]
    write_sums(predictor, names)  # whoever can write a file can write its sum
    assert generate.main([str(predictor), "--chars", "5"]) == 2
    error = capsys.readouterr().err
    assert reason in error and error.count("\n") == 1


def test_file_that_changed_is_found(predictor: Path) -> None:
    assert (predictor / SUMS_FILE).is_file()
    _values(predictor, val_bits_per_char=0.5)
    with pytest.raises(CheckpointError, match=PREDICTOR_FILE):
        load_network(predictor)
