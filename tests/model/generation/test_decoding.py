import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.written_symbols import generate
from model import generate as command
from model import train
from model.config import TrialConfig
from model.errors import ConfigError
from model.generation import decoding
from model.generation.decoding import SamplingOptions, _chooser, _drawn, drawn, encode_prime
from model.network.lstm import CharLSTM
from model.text.vocabulary import Vocabulary
from model.training.checkpoint import load_checkpoint

GREEDY = SamplingOptions(temperature=0.0)


def write(model: CharLSTM, prime_T: Tensor, options: SamplingOptions, **more: int) -> Tensor:
    return generate(model, prime_T, num_symbols=40, options=options, **more)  # type: ignore[arg-type]


@pytest.fixture
def model() -> CharLSTM:
    torch.manual_seed(0)
    return CharLSTM(TrialConfig(hidden_size=12, embedding_dim=5), vocabulary_size=7)


@pytest.fixture
def prime_T() -> Tensor:  # noqa: N802
    return torch.tensor([1, 2, 3])


def test_same_seed_writes_the_same_text(model: CharLSTM, prime_T: Tensor) -> None:
    options = SamplingOptions(temperature=1.0)
    assert torch.equal(write(model, prime_T, options), write(model, prime_T, options))
    assert not torch.equal(write(model, prime_T, options), write(model, prime_T, options, seed=1))


def test_greedy_equals_a_whole_pass_for_each_character(model: CharLSTM, prime_T: Tensor) -> None:
    written = prime_T.tolist()
    for _ in range(40):  # the reference's way: read everything again for each character
        logits_TBV, _ = model.eval()(torch.tensor(written)[:, None])
        written.append(int(logits_TBV[-1, 0].argmax()))
    assert write(model, prime_T, GREEDY)[0].tolist() == written[3:]


def test_temperature_near_zero_top_1_and_small_top_p_are_greedy(
    model: CharLSTM, prime_T: Tensor
) -> None:
    greedy = write(model, prime_T, GREEDY)
    for options in (
        SamplingOptions(temperature=1e-6),
        SamplingOptions(temperature=1e-50),
        SamplingOptions(temperature=5.0, top_k=1),
        SamplingOptions(temperature=5.0, top_p=1e-9),
    ):
        assert torch.equal(write(model, prime_T, options), greedy)


def test_passages_of_a_batch_differ(model: CharLSTM, prime_T: Tensor) -> None:
    written = write(model, prime_T, SamplingOptions(temperature=1.0), num_passages=4)
    assert written.shape == (4, 40)
    assert len({tuple(passage.tolist()) for passage in written}) == 4


@pytest.mark.slow
@pytest.mark.parametrize("num_at_once", [1, 20_000])
def test_draws_follow_the_probabilities(num_at_once: int) -> None:
    """Both ways to draw: by noise for few logits, by inversion for many."""
    logits_BV = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]])).expand(num_at_once, -1)

    def shares(options: SamplingOptions) -> list[float]:
        temperature_B1 = torch.full((num_at_once, 1), options.temperature)
        choose = _chooser(4, temperature_B1, np.random.default_rng(0))
        counts = torch.zeros(4)
        for _ in range(20_000 // num_at_once):
            drawn_B = _drawn(logits_BV, options, temperature_B1, choose)
            counts += torch.bincount(drawn_B, minlength=4)
        return [round(share, 2) for share in (counts / 20_000).tolist()]

    assert shares(SamplingOptions(temperature=1.0)) == pytest.approx(
        [0.5, 0.3, 0.15, 0.05], abs=0.02
    )
    # The same, squared.
    assert shares(SamplingOptions(temperature=0.5)) == pytest.approx(
        [0.685, 0.247, 0.062, 0.007], abs=0.02
    )
    assert shares(SamplingOptions(temperature=1.0, top_k=2)) == pytest.approx(
        [0.625, 0.375, 0, 0], abs=0.02
    )
    # 0.5 alone does not reach 0.6, 0.5 and 0.3 do.
    assert shares(SamplingOptions(temperature=1.0, top_p=0.6)) == pytest.approx(
        [0.625, 0.375, 0, 0], abs=0.02
    )


@pytest.mark.parametrize("drawn", [0.0, 1 - 2**-53, 800.0])
@pytest.mark.parametrize("num_symbols", [4, 4_000])
def test_symbol_without_probability_is_never_drawn(num_symbols: int, drawn: float) -> None:
    """Not at the ends of what a generator gives either."""

    class Constant(np.random.Generator):
        def standard_exponential(self, size: Any) -> Any:  # type: ignore[override]
            return np.full(size, drawn)

        def random(self, size: Any) -> Any:  # type: ignore[override]
            return np.full(size, min(drawn, 1 - 2**-53))

    temperature_B1 = torch.ones(1, 1)
    choose = _chooser(num_symbols, temperature_B1, Constant(np.random.SFC64()))
    logits_BV = torch.full((1, num_symbols), float("-inf"))
    logits_BV[0, 2] = 0.0
    assert _drawn(logits_BV, SamplingOptions(), temperature_B1, choose).tolist() == [2]
    for options in (SamplingOptions(top_k=1), SamplingOptions(top_p=0.5)):
        logits_BV = torch.zeros(1, num_symbols)
        logits_BV[0, 2] = 40.0
        assert _drawn(logits_BV, options, temperature_B1, choose).tolist() == [2]


def test_hardly_possible_symbol_is_not_drawn() -> None:
    """Of 2,047 that lie 60 nats below; a float32 draw of 0 was noise that brought one up."""
    logits_BV = torch.full((1, 2_048), -60.0)
    logits_BV[0, 7] = 0.0
    choose = _chooser(2_048, torch.ones(1, 1), np.random.default_rng(0))
    assert {choose(logits_BV).item() for _ in range(20_000)} == {7}


@pytest.mark.parametrize("temperature", [1e38, 1e300])
def test_whatever_the_temperature_top_k_excludes(temperature: float, model: CharLSTM) -> None:
    options = SamplingOptions(temperature=temperature, top_k=3)
    generator = np.random.default_rng(0)
    written = drawn(model, torch.tensor([1]), 1, options, generator)
    logits_BV, step = model.eval().start_text(torch.tensor([1]), 1)
    for symbol_B in itertools.islice(written, 50):
        assert symbol_B.item() in logits_BV.topk(3).indices
        logits_BV = step(symbol_B)


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"temperature": -1.0}, "temperature must be at least 0"),
        ({"temperature": float("nan")}, "temperature must be at least 0"),
        ({"top_k": 0}, "top_k must be at least 1"),
        ({"top_p": 0.0}, "top_p must be in 0 < p <= 1"),
        ({"top_p": 1.5}, "top_p must be in 0 < p <= 1"),
    ],
)
def test_bad_options_are_refused(values: dict[str, float], rule: str) -> None:
    with pytest.raises(ConfigError, match=rule):
        SamplingOptions(**values)  # type: ignore[arg-type]


def test_prime_is_cleaned_and_checked() -> None:
    vocabulary = Vocabulary.of("alice ")
    assert vocabulary.decode(encode_prime("ALICE", vocabulary, "lower").numpy()) == "alice"
    assert vocabulary.decode(encode_prime("", vocabulary, "lower").numpy()) == " "
    with pytest.raises(
        ConfigError, match=r"prime 'ALEX': 'x' \(U\+0078\) is not among the 6 char"
    ):
        encode_prime("ALEX", vocabulary, "lower")
    for cleaning in ("cased", "letters"):
        with pytest.raises(ConfigError, match=r"must be UTF-8, got 'a\\udcff'"):
            encode_prime("a\udcff", vocabulary, cleaning)
    with pytest.raises(ConfigError, match="must leave something of the prime '42'"):
        encode_prime("42", vocabulary, "letters")


def test_command_line(trained_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [str(trained_checkpoint), "--chars", "30", "--passages", "2", "--prime", "Alice"]
    assert command.main(flags) == 0
    lines = capsys.readouterr().out
    assert lines.count("Alice") >= 2 and "--- 2" in lines
    assert command.main([*flags, "--greedy"]) == 0
    for wrong in (["--prime", "§"], ["--chars", "0"], ["--top-p", "2"]):
        assert command.main([str(trained_checkpoint), *wrong]) == 2
    assert command.main(["nowhere"]) == 2
    assert capsys.readouterr().err.count("\n") == 4
    _, meta = load_checkpoint(trained_checkpoint)
    assert meta.config.cleaning == "lower"


def test_prime_with_curly_quotes_gets_a_hint(
    trained_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prime = "\N{LEFT SINGLE QUOTATION MARK}Tea\N{RIGHT SINGLE QUOTATION MARK}"
    assert command.main([str(trained_checkpoint), "--prime", prime]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"model.generate: prime {prime!r}: '‘' (U+2018), '’' (U+2019) are not")
    assert told.endswith('; it has learnt "\'" instead\n') and told.count("\n") == 1


def test_a_gpu_is_used_where_it_is_asked_for_alone(
    trained_checkpoint: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert command.main([str(trained_checkpoint), "--chars", "5"]) == 0
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    capsys.readouterr()
    assert command.main([str(trained_checkpoint), "--device", "cuda"]) == 2
    rule = "device must be cpu where no GPU is visible, got cuda"
    assert capsys.readouterr().err == f"model.generate: {rule}\n"
    assert train.main(["--device", "cuda"]) == 2
    assert capsys.readouterr().err == f"model.train: {rule}\n"
    with pytest.raises(SystemExit, match="2"):
        command.main([str(trained_checkpoint), "--device", "tpu"])
    assert capsys.readouterr().err.count("\n") == 1


def test_too_many_passages_are_told_in_one_line(
    trained_checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> list[str]:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has")

    monkeypatch.setattr("model.generation.decoding.stream_passages", full)
    assert command.main([str(trained_checkpoint)]) == 2
    rule = "the network and its passages must fit into memory: there is no room for 20.00 GiB"
    assert capsys.readouterr().err == f"model.generate: {rule}\n"


def test_ctrl_c_ends_writing_without_a_traceback(
    trained_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr("model.generation.decoding.stream_passages", interrupted)
    assert command.main([str(trained_checkpoint)]) == 130


def test_speed_is_that_of_the_fastest_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of passes of 40, 20, 90, 30 and 50 ms: others are disturbed by what else runs."""
    clock = iter([0.0, 0.04, 1.0, 1.02, 2.0, 2.09, 3.0, 3.03, 4.0, 4.05])
    monkeypatch.setattr(decoding.time, "perf_counter", lambda: next(clock))
    passes: list[int] = []
    milliseconds = decoding.fastest_milliseconds(lambda: passes.append(1))
    assert len(passes) == decoding.TIMED_PASSES
    assert milliseconds == pytest.approx(20 / decoding.TIMED_SYMBOLS)
