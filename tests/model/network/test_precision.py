"""The arithmetic of a run: what is chosen, and what the LSTM really runs in."""

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from model import train
from model.config import TrialConfig
from model.errors import CheckpointError, ConfigError
from model.network import precision
from model.network.kernels.library import load_kernel
from model.network.lstm import CharLSTM, WindowLSTM
from model.network.precision import (
    ARITHMETICS,
    BFLOAT16,
    FLOAT32,
    FUSED_BFLOAT16,
    Arithmetic,
    autocast,
    for_this_machine,
    resolve_arithmetic,
)
from model.scoring.objective import PreparedCorpus
from model.system.devices import pick_device
from model.system.files import write_sums
from model.training.checkpoint import (
    META_FILE,
    MODEL_FILE,
    TRAINING_FILE,
    copy_model,
    load_checkpoint,
    read_meta,
)
from model.training.trainer import Trainer

CUDA = torch.device("cuda")
REGIMES = ({}, {"regime": "window", "sequence_length": 10, "batch_size": 64})


def test_on_a_gpu_auto_is_float32_and_nothing_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    monkeypatch.setattr(precision, "_fastest", lambda *_: FUSED_BFLOAT16)
    monkeypatch.setattr(precision, "has_bfloat16", lambda: False)  # of the CPU
    assert resolve_arithmetic(TrialConfig(), CUDA) == FLOAT32
    assert resolve_arithmetic(TrialConfig(precision="bfloat16"), CUDA) == BFLOAT16
    monkeypatch.setattr(precision, "has_bfloat16", lambda: True)
    assert resolve_arithmetic(TrialConfig(), torch.device("cpu")) == FUSED_BFLOAT16


@pytest.mark.skipif(not load_kernel(torch.bfloat16), reason="there is no kernel in bfloat16 here")
def test_a_checkpoint_goes_on_in_the_arithmetic_that_it_was_begun_in(
    tiny_corpus: PreparedCorpus,
    tiny_config: TrialConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = dataclasses.replace(tiny_config, precision="auto")
    corpus = tiny_corpus.encoded["lower"]
    monkeypatch.setattr(precision, "_fastest", lambda *_: FUSED_BFLOAT16)
    begun = Trainer(config, corpus)
    next(begun.reports())
    begun.save(tmp_path / "checkpoint")
    copy_model(tmp_path / "checkpoint", tmp_path / "kept")
    network, meta = load_checkpoint(tmp_path / "kept")
    assert (meta.precision, meta.kernel) == ("bfloat16", "fused")
    assert isinstance(network, CharLSTM)
    assert [layer.fused_dtype for layer in network.layers] == [torch.bfloat16]
    # Another machine would choose float32.
    monkeypatch.setattr(precision, "_fastest", lambda *_: FLOAT32)
    resumed = Trainer(config, corpus)
    resumed.restore(tmp_path / "checkpoint")
    assert resumed.arithmetic == FUSED_BFLOAT16
    layers = resumed.model.layers
    assert [layer.fused_dtype for layer in layers] == [torch.bfloat16]  # type: ignore[union-attr]
    for name, message in (("precision", "unknown precision 'odd'"), ("kernel", "unknown kernel")):
        rewrite(tmp_path / "checkpoint", **{"precision": "bfloat16", name: "odd"})
        with pytest.raises(CheckpointError, match=message):
            load_checkpoint(tmp_path / "checkpoint")


@pytest.fixture
def without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A CPU whose oneDNN has no LSTM in bfloat16, as one without AVX512."""
    lstm = torch.nn.modules.rnn._VF.lstm

    def refusing(*arguments: object) -> object:
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("could not create a primitive descriptor for the LSTM")
        return lstm(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.modules.rnn._VF, "lstm", refusing)
        patch.setattr(precision, "load_kernel", lambda dtype: None)
        precision.has_bfloat16.cache_clear()
        precision._fastest.cache_clear()
        yield
    precision.has_bfloat16.cache_clear()
    precision._fastest.cache_clear()


@pytest.mark.filterwarnings("ignore:for .*copying from a non-meta parameter")
@pytest.mark.usefixtures("without_bfloat16")
def test_a_cpu_without_bfloat16_trains_in_float32(
    tiny_corpus: PreparedCorpus, tiny_config: TrialConfig, tmp_path: Path
) -> None:
    cpu = torch.device("cpu")
    assert resolve_arithmetic(TrialConfig(), cpu) == FLOAT32
    asked = dataclasses.replace(tiny_config, precision="bfloat16")
    with pytest.raises(ConfigError, match="must be auto or float32 on this CPU"):
        Trainer(asked, tiny_corpus.encoded["lower"])
    # What another machine began in bfloat16 goes on, and is scored, in float32.
    trainer = Trainer(tiny_config, tiny_corpus.encoded["lower"], arithmetic=FUSED_BFLOAT16)
    assert next(trainer.reports()).epoch == 1
    trainer.save(tmp_path / "kept")
    for device in (cpu, torch.device("meta")):  # the latter stands for a GPU
        resumed = Trainer(tiny_config, tiny_corpus.encoded["lower"], device=device)
        resumed.restore(tmp_path / "kept")
        assert resumed.arithmetic == FLOAT32
    with autocast("bfloat16", cpu):
        assert not torch.is_autocast_enabled("cpu")


@pytest.mark.slow
@pytest.mark.usefixtures("without_bfloat16")
def test_file_of_a_machine_with_bfloat16_trains_here_but_a_flag_is_refused(
    tiny_corpus: PreparedCorpus,
    tiny_config: TrialConfig,
    tiny_text: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("book.txt").write_text(tiny_text, encoding="utf-8")
    config = dataclasses.replace(tiny_config, epochs=1, precision="bfloat16", kernel="fused")
    Path("best.json").write_text(json.dumps(config.to_dict()), encoding="utf-8")
    theirs = Trainer(config, tiny_corpus.encoded["lower"], arithmetic=FUSED_BFLOAT16)
    next(theirs.reports())
    theirs.save(Path("theirs"))
    for flags in (["--config", "best.json", "--checkpoint", "ours"], ["--init", "theirs"]):
        command, file = ["--corpus", "book.txt", *flags], flags[1]
        assert train.main(command) == 0
        told = capsys.readouterr().out
        line = f"precision and kernel: auto, because {file} has another machine's, bfloat16 and"
        assert told.count(line + " fused\n") == 1 and ", float32 on cpu\n" in told
        assert train.main([*command[:4], "--precision", "float32"]) == 0
        told = capsys.readouterr().out
        assert f"\nkernel: auto, because {file} has another machine's, fused\n" in f"\n{told}"
        assert train.main([*command[:4], "--precision", "bfloat16"]) == 2
        assert "precision must be auto or float32 on this CPU" in capsys.readouterr().err
    assert train.main(["--corpus", "book.txt", "--checkpoint", "theirs", "--resume"]) == 0
    assert "auto, because theirs has another machine's, bfloat16" in capsys.readouterr().out
    kept = read_meta(Path("ours"))
    assert (kept.config.precision, kept.config.kernel) == ("auto", "auto")
    assert train.main(["--checkpoint", "ours", "--resume"]) == 0


@pytest.mark.parametrize("arithmetic", ARITHMETICS, ids=str)
def test_file_is_followed_where_its_arithmetic_is(
    arithmetic: Arithmetic, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not arithmetic.is_available:
        pytest.skip("this CPU has another arithmetic")
    monkeypatch.setattr(precision, "_fastest", lambda *_: pytest.fail("measured"))
    config = dataclasses.replace(TrialConfig(), **dataclasses.asdict(arithmetic))
    assert for_this_machine(config, torch.device("cpu")) == config
    assert resolve_arithmetic(config, torch.device("cpu")) == arithmetic


def test_on_a_gpu_bfloat16_must_be_named() -> None:
    config = TrialConfig(precision="bfloat16", kernel="fused")
    assert for_this_machine(config, CUDA) == TrialConfig()
    assert for_this_machine(config, CUDA, named=["precision"]) == config
    in_float32 = TrialConfig(precision="float32", kernel="torch")
    assert for_this_machine(in_float32, CUDA) == in_float32


def rewrite(folder: Path, **changes: str) -> None:
    """Give a checkpoint other values."""
    path = folder / META_FILE
    values = json.loads(path.read_text(encoding="utf-8"))
    values.update(changes)
    path.write_text(json.dumps(values), encoding="utf-8")
    write_sums(folder, (MODEL_FILE, META_FILE, TRAINING_FILE))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("changes", REGIMES)
@pytest.mark.parametrize("asked", ["auto", "bfloat16"])
def test_the_lstm_never_runs_in_float16_on_a_gpu(
    asked: str, changes: dict[str, object], tiny_corpus: PreparedCorpus, tiny_config: TrialConfig
) -> None:
    values = {**tiny_config.to_dict(), **changes, "precision": asked, "num_layers": 2}
    trainer = Trainer(
        TrialConfig.from_dict(values),
        tiny_corpus.encoded["lower"],
        device=pick_device(use_gpu=True),
    )
    of_lstm, of_output = set(), set()

    def note(module: nn.Module, _: object, result: object) -> None:
        if isinstance(module, nn.LSTM):
            assert isinstance(result, tuple)
            of_lstm.add(result[0].dtype)
        elif isinstance(result, torch.Tensor):
            of_output.add(result.dtype)

    for module in (*trainer.model.layers, trainer.model.output):  # type: ignore[misc]
        module.register_forward_hook(note)
    next(trainer.reports())  # trains and evaluates
    assert of_lstm == {torch.float32}
    assert of_output == {torch.bfloat16 if asked == "bfloat16" else torch.float32}


def test_least_of_several_timings_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last repeat is held up, in the faster arithmetic alone."""
    monkeypatch.setattr(precision, "has_bfloat16", lambda: True)
    monkeypatch.setattr(precision, "autocast", lambda *_: contextlib.nullcontext())
    seconds = [3.0, 1.0] * (precision._PROBE_REPEATS - 1) + [3.0, 9.0]
    ticks = iter([tick for each in seconds for tick in (0.0, each)])
    monkeypatch.setattr(precision, "step_clock", lambda: lambda: next(ticks))
    assert precision._fastest.__wrapped__(64, (FLOAT32, BFLOAT16)) == BFLOAT16


def test_arithmetic_is_chosen_by_the_work_and_not_by_the_clock_on_the_wall(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Other programs hold the wall's clock up, more in one arithmetic than in the other."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(precision, "has_bfloat16", lambda: True)
    monkeypatch.setattr(precision, "autocast", lambda *_: contextlib.nullcontext())
    work, now = iter([0.0, 3.0, 3.0, 4.0] * 100), [0.0]
    monkeypatch.setattr(precision.time, "thread_time", lambda: next(work))
    monkeypatch.setattr(precision.time, "perf_counter", lambda: now[0])
    assert precision._fastest.__wrapped__(64, (FLOAT32, BFLOAT16)) == BFLOAT16


@pytest.mark.parametrize("kernel", ["torch", "fused"])
def test_window_tells_the_symbols_of_a_large_alphabet_apart(kernel: str) -> None:
    """In bfloat16 the numbers of 3,000 symbols are 701 different ones."""
    if not Arithmetic(precision="bfloat16", kernel=kernel).is_available:
        pytest.skip("this CPU cannot train an LSTM in bfloat16 so")
    config = TrialConfig(regime="window", hidden_size=16, num_layers=2)
    torch.manual_seed(0)
    network = WindowLSTM(config, vocabulary_size=3_000).eval()
    network.use_kernel(kernel, "bfloat16")
    neighbours_TB = torch.tensor([[2_000, 2_001]]).expand(5, 2)
    with torch.no_grad(), autocast("bfloat16", torch.device("cpu")):
        one_V, other_V = network(neighbours_TB)
    assert not torch.equal(one_V, other_V)
