"""A training that goes on by --resume alone, and one that begins with the weights of another."""

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from model import generate, train
from model.config import CELLS, CHOICES, FIELD_NAMES, TrialConfig
from model.errors import ConfigError, CorpusError
from model.network.base import Network
from model.network.lstm import build_network
from model.scoring.objective import PreparedCorpus, prepare_corpus
from model.text import held_out
from model.text.corpus import Corpus
from model.text.reading import Reading
from model.text.streams import encode_in
from model.text.vocabulary import Vocabulary
from model.training.checkpoint import META_FILE, copy_model, load_checkpoint
from model.training.cost import num_parameters
from model.training.trainer import Trainer
from model.training.warm_start import check_shape, text_of

SMALL = "--epochs 3 --hidden-size 8 --batch-size 4 --sequence-length 16 --learning-rate 0.01"
Errors = pytest.CaptureFixture[str]


@pytest.fixture
def book(tiny_text: str) -> str:
    Path("book.txt").write_text(tiny_text, encoding="utf-8")
    return "book.txt"


def epochs(capsys: Errors) -> list[str]:
    """Return the lines of epochs that were printed, without their seconds."""
    lines = capsys.readouterr().out.splitlines()
    return [line.rpartition(",")[0] for line in lines if line.startswith("epoch")]


def meta(folder: str) -> dict[str, object]:
    values: dict[str, object] = json.loads((Path(folder) / META_FILE).read_text("utf-8"))
    return values


@pytest.mark.slow
def test_resume_alone_goes_on_with_the_settings_and_the_text(
    book: str, capsys: Errors, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    flags = ["--corpus", book, *SMALL.split()]
    assert train.main([*flags, "--checkpoint", "whole"]) == 0
    whole = epochs(capsys)
    assert len(whole) == 3
    with monkeypatch.context() as patch:
        real, saved = Trainer.save, iter(range(3))

        def save(self: Trainer, folder: Path) -> None:
            real(self, folder)
            if next(saved) == 0:
                raise KeyboardInterrupt

        patch.setattr(Trainer, "save", save)
        assert train.main([*flags, "--checkpoint", "mine"]) == 130
    capsys.readouterr()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert train.main(["--checkpoint", "../mine", "--resume"]) == 0
    assert epochs(capsys) == whole[1:]
    assert meta("../mine")["corpus"] == str(tmp_path / book)
    assert train.main(["--checkpoint", "../mine", "--resume"]) == 0
    assert "continues after epoch 3 of 3" in capsys.readouterr().out
    assert train.main(["--checkpoint", "../mine", "--resume", "--epochs", "4"]) == 2
    assert "epochs must be that of the checkpoint ../mine, 3, got 4" in capsys.readouterr().err


@pytest.mark.slow
def test_long_text_that_is_split_by_position_is_found_again(
    book: str, capsys: Errors, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(held_out, "LONG_TEXT_CHARS", 1_000)
    monkeypatch.setattr(held_out, "HELD_OUT_CHARS", 300)
    flags = ["--corpus", book, *SMALL.split(), "--reports-per-epoch", "2"]
    assert train.main([*flags, "--checkpoint", "mine"]) == 0
    assert meta("mine")["corpus"] == str(tmp_path / book)
    assert train.main(["--checkpoint", "mine", "--resume"]) == 0
    Path("other.txt").write_text("a text of its own, " * 40, encoding="utf-8")
    own = [*flags, "--validation", "other.txt", "--checkpoint", "own"]
    assert train.main(own) == 0
    assert meta("own")["corpus"] is None  # that file alone is another text


@pytest.mark.slow
def test_text_that_is_read_otherwise_is_told_with_the_flags_that_do_it(
    tiny_text: str, capsys: Errors
) -> None:
    front = "A title\n\nCONTENTS\n\n" + tiny_text
    book = f"*** START OF THE PROJECT GUTENBERG EBOOK X ***\n{front}\n*** END OF THE PROJECT"
    Path("book.txt").write_text(book + " GUTENBERG EBOOK X ***\n", encoding="utf-8")
    flags = ["--corpus", "book.txt", *SMALL.split(), "--checkpoint", "mine"]
    assert train.main([*flags, "--keep-front-matter"]) == 0
    Path("book.txt").write_text(tiny_text, encoding="utf-8")
    assert train.main(["--checkpoint", "mine", "--resume"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "or another --encoding or --keep-front-matter" in line


@pytest.mark.slow
def test_text_that_is_gone_is_asked_for(book: str, tiny_text: str, capsys: Errors) -> None:
    assert train.main(["--corpus", book, *SMALL.split(), "--checkpoint", "mine"]) == 0
    Path(book).rename("moved.txt")
    capsys.readouterr()
    assert train.main(["--checkpoint", "mine", "--resume"]) == 2
    told = capsys.readouterr().err
    assert "the text must be given with --corpus: " in told and told.count("\n") == 1
    Path(book).write_text(tiny_text.replace("Alice", "Cilia"), encoding="utf-8")
    assert train.main(["--checkpoint", "mine", "--resume"]) == 2
    assert "trained on another text of the same symbols" in capsys.readouterr().err
    assert train.main(["--checkpoint", "mine", "--resume", "--corpus", "moved.txt"]) == 0


@pytest.mark.parametrize(
    ("location", "rule"),
    [
        (None, "which does not say where it is"),
        ("/dev/zero", "with --corpus: /dev/zero: a file must be a regular file"),
        ("http://127.0.0.1:1/a", "the text of .*: http://127.0.0.1:1/a is no path"),
        ("book.txt", "the text of .*: book.txt is no path"),  # of whoever opens the checkpoint
        ("/" + "x" * 5_000, "with --corpus: /x.*File name too long"),
        ("/a\0b", "with --corpus: /a.*embedded null"),
    ],
)
def test_text_of_a_checkpoint_is_a_file_or_a_corpus(
    location: str | None, rule: str, trained_checkpoint: Path, book: str
) -> None:
    _, known = load_checkpoint(trained_checkpoint)
    with pytest.raises(ConfigError, match=rule):
        said = dataclasses.replace(known, corpus=location)
        text_of(said, trained_checkpoint, reading=Reading())
    named = dataclasses.replace(known, corpus="python-docs")
    found = text_of(named, trained_checkpoint, reading=Reading())
    assert found.location == "python-docs" and found.text


def test_url_is_not_written_down() -> None:
    url = "https://host/book.txt?token=secret"
    corpus = Corpus(name=url, location=url, source="", text="")
    assert corpus.path_or_name is None
    assert dataclasses.replace(corpus, location="/a/book.txt").path_or_name == "/a/book.txt"
    assert dataclasses.replace(corpus, location="alice").path_or_name == "alice"


@pytest.mark.slow
def test_init_begins_with_the_weights_and_tells_and_records_it(
    book: str, tiny_text: str, capsys: Errors, tmp_path: Path
) -> None:
    assert train.main(["--corpus", book, *SMALL.split(), "--checkpoint", "first"]) == 0
    first = meta("first")
    capsys.readouterr()
    # Another text, which lacks some of the characters.
    other = "'Take some more tea,' the Hare said to Alice. It is always six o'clock now.\n" * 30
    Path("other.txt").write_text(other, encoding="utf-8")
    begun = "--init first --corpus other.txt --epochs 2 --learning-rate 1e-9 --checkpoint second"
    assert train.main(begun.split()) == 0
    assert "started with the weights of" in capsys.readouterr().out
    second = meta("second")
    assert second["vocabulary"] == first["vocabulary"]
    assert second["config"] == {**first["config"], "epochs": 2, "learning_rate": 1e-9}  # type: ignore[dict-item]
    origin = second["origin"]
    assert isinstance(origin, dict) and origin["checkpoint"] == str(tmp_path / "first")
    sums = Path("first/SHA256SUMS").read_text("utf-8")
    assert f"{origin['model_sha256']}  model.safetensors" in sums
    assert origin["text_sha256"] == first["text_sha256"] != second["text_sha256"]
    # It has not moved from where it began.
    ours, theirs = (load_checkpoint(Path(name))[0].state_dict() for name in ("second", "first"))
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-4) for name in ours)
    assert train.main(["--checkpoint", "second", "--resume"]) == 0  # needs no --init again
    assert "started with the weights of" in capsys.readouterr().out
    assert meta("second")["origin"] == origin
    assert generate.main(["second", "--chars", "9"]) == 0
    # A flag is held against the checkpoint's settings, not ours: half an epoch is one report.
    halves = "--reports-per-epoch 2 --checkpoint halves"
    assert train.main(["--corpus", book, *SMALL.split(), *halves.split()]) == 0
    half = "--init halves --epochs 0.5 --checkpoint half"
    assert train.main(["--corpus", book, *half.split()]) == 0


def test_init_needs_no_more_than_a_kept_network(
    trained_checkpoint: Path, book: str, capsys: Errors, tmp_path: Path
) -> None:
    copy_model(trained_checkpoint, tmp_path / "kept")
    assert train.main(["--init", "kept", "--corpus", book, "--epochs", "1"]) == 0
    (warm,) = epochs(capsys)
    assert train.main(["--init", "kept", "--epochs", "1"]) == 2  # made without its text's place
    assert "--corpus must name the text of kept" in capsys.readouterr().err
    flags = "--hidden-size 24 --batch-size 4 --sequence-length 16 --embedding-dim 8"
    assert train.main(["--corpus", book, *flags.split(), "--epochs", "1"]) == 0
    (cold,) = epochs(capsys)
    assert float(warm.split()[3]) < float(cold.split()[3])


def test_words_begin_with_the_words_of_the_earlier_text(
    tiny_text: str, book: str, capsys: Errors
) -> None:
    words = "--unit word --min-word-count 2"
    flags = ["--corpus", book, *SMALL.split(), *words.split()]
    assert train.main([*flags, "--checkpoint", "first"]) == 0
    Path("other.txt").write_text(tiny_text.replace("Hatter", "Hare"), encoding="utf-8")
    flags = ["--init", "first", "--corpus", "other.txt", "--checkpoint", "second"]
    assert train.main(flags) == 0
    assert meta("second")["vocabulary"] == meta("first")["vocabulary"]
    assert train.main(["--checkpoint", "second", "--resume"]) == 0
    assert "warning" not in capsys.readouterr().out
    # Whose own words are too rare to be symbols says nothing of what the network knows.
    flags = ["--init", "first", "--corpus", book, "--min-word-count", "100000"]
    assert train.main(flags) == 0
    assert "words are not learnt" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"hidden_size": 25}, "hidden_size must be that of the weights in kept, 24, got 25"),
        ({"num_layers": 2}, "num_layers must be that of the weights in kept, 1, got 2"),
        ({"embedding_dim": 9}, "embedding_dim must be that"),
        ({"normalization": "layer"}, "normalization must be that .* 'none', got 'layer'"),
        ({"cell": "gru"}, "cell must be that .* 'lstm', got 'gru'"),
        ({"tie_weights": True}, "tie_weights must be that .* False, got True"),
        ({"regime": "window"}, "regime must be that .* 'stream', got 'window'"),
        ({"unit": "word"}, "unit must be that .* 'char', got 'word'"),
    ],
)
def test_other_shape_is_refused(
    change: dict[str, object], rule: str, trained_checkpoint: Path
) -> None:
    _, known = load_checkpoint(trained_checkpoint)
    with pytest.raises(ConfigError, match=rule):
        check_shape(TrialConfig(**{**known.config.to_dict(), **change}), known, Path("kept"))


BASES = [
    *({"cell": cell, "hidden_size": 12, "embedding_dim": 5, "num_layers": 2} for cell in CELLS),
    {"regime": "window", "hidden_size": 12, "num_layers": 2},
]


@pytest.mark.parametrize("base", BASES)
def test_each_field_that_changes_a_tensor_is_a_matter_of_shape(
    base: dict[str, Any], trained_checkpoint: Path
) -> None:
    """One that `check_shape` forgot would end `--init` in a traceback of torch's."""
    config = TrialConfig(**base)
    known = dataclasses.replace(load_checkpoint(trained_checkpoint)[1], config=config)
    for name in FIELD_NAMES:
        for changed in _changed(config, name):
            network = _without_values(changed)
            assert num_parameters(changed, 7) == network.num_parameters(), name
            if _shapes(network) != _shapes(_without_values(config)):
                with pytest.raises(ConfigError, match=f"{name} must be that of the weights"):
                    check_shape(changed, known, Path("kept"))


def _changed(config: TrialConfig, name: str) -> list[TrialConfig]:
    """Return a configuration with each other value that a field may have; of numbers, some."""
    value = getattr(config, name)
    values: list[Any] = [*{"cell": CELLS, **CHOICES}.get(name, ())]
    if isinstance(value, bool):
        values = [not value]
    elif isinstance(value, (int, float)):
        values = [value + 1, value / 2, 0.25]
    assert values, f"a value of {name} to try"
    found = []
    for other in values:
        with contextlib.suppress(ConfigError):
            found.append(dataclasses.replace(config, **{name: other}))
    return found


def _without_values(config: TrialConfig) -> Network:
    with torch.device("meta"):
        return build_network(config, vocabulary_size=7)


def _shapes(network: Network) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in network.state_dict().items()}


def test_mistakes_of_a_warm_start_are_one_line(
    trained_checkpoint: Path, book: str, tiny_text: str, capsys: Errors
) -> None:
    Path("other.txt").write_text(tiny_text + "ÄÖ" * 90, encoding="utf-8")
    init = ["--init", str(trained_checkpoint), "--corpus"]
    for flags, rule in (
        ([*init, book, "--hidden-size", "9"], "hidden_size must be that of the weights in"),
        ([*init, "other.txt"], "the network's characters, got 2 others: 'äö'"),
        (["--init", "nowhere", "--corpus", book], "a checkpoint must be a folder with"),
    ):
        assert train.main(flags) == 2
        told = capsys.readouterr().err
        assert rule in told and told.count("\n") == 1
    with pytest.raises(SystemExit, match="2"):
        train.main([*init, book, "--checkpoint", "mine", "--resume"])


def test_streams_in_other_symbols_read_the_same(
    tiny_corpus: PreparedCorpus, tiny_text: str
) -> None:
    chars = tiny_corpus.encoded["lower"]
    assert isinstance(chars.vocabulary, Vocabulary)
    wider = Vocabulary.of("".join(chars.vocabulary.symbols), "äöü")
    text = wider.decode(encode_in(chars, wider).train.symbols)
    assert text == chars.vocabulary.decode(chars.train.symbols)
    narrower = prepare_corpus("tea for two\n" * 200, ["lower"]).encoded["lower"]
    with pytest.raises(CorpusError, match=r"got \d+ others"):
        encode_in(chars, narrower.vocabulary)
