"""model.score: figures of any text, by a checkpoint, a predictor or an n-gram."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from model import score, train
from model.config import TrialConfig
from model.errors import ConfigError
from model.scoring import text_score
from model.scoring.evaluation import score_test_passage
from model.scoring.ngram_cache import NgramCache
from model.scoring.objective import PreparedCorpus, prepare_corpus
from model.scoring.text_score import UNICODE_CHARS, random_windows, score_text
from model.text import held_out
from model.text.streams import split_text
from model.text.vocabulary import Vocabulary
from model.training.checkpoint import load_checkpoint
from model.training.predictor import PredictorMeta, save_predictor
from model.training.trainer import Trainer

_HELD_OUT = ("ngram", "--text", "book.txt", "--part", "test")


@pytest.fixture
def book(tiny_text: str) -> Path:
    path = Path("book.txt")
    path.write_text(tiny_text, encoding="utf-8")
    return path


@pytest.fixture
def predictor(trained_checkpoint: Path, tiny_corpus: PreparedCorpus, tmp_path: Path) -> Path:
    folder = tmp_path / "predictor"
    meta = PredictorMeta(weights=(0.6, 0.4), ngram_order=4, val_bits_per_char=1.25)
    save_predictor(folder, [trained_checkpoint], meta, tiny_corpus.encoded["lower"].train.symbols)
    return folder


def values_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, float]:
    assert score.main([*arguments, "--json"]) == 0
    values: dict[str, float] = json.loads(capsys.readouterr().out)
    return values


@pytest.mark.slow
def test_checkpoints_figures_are_those_of_its_search(
    book: Path,
    trained_checkpoint: Path,
    tiny_corpus: PreparedCorpus,
    capsys: pytest.CaptureFixture[str],
) -> None:
    network, meta = load_checkpoint(trained_checkpoint)
    price = (
        tiny_corpus.floors.of_cleaning["cased"].test_bits_per_char
        - tiny_corpus.floors.of_cleaning["lower"].test_bits_per_char
    )
    restored = score_test_passage(network, tiny_corpus, meta.config, precision="float32")
    arguments = [str(trained_checkpoint), "--text", str(book), "--part", "test"]
    values = values_of(capsys, *arguments)
    assert values["bits_per_raw_char"] == pytest.approx(restored - max(0.0, price), rel=1e-6)
    assert values["restored_bits_per_raw_char"] == pytest.approx(restored, rel=1e-6)
    assert values["restoration_bits_per_char"] == max(0.0, price)
    # Bits per byte and perplexity have no price of what was dropped.
    dropped = "what the cleaning lower dropped"
    assert values["not_priced"] == f"{dropped}, except in restored_bits_per_raw_char"
    validation = values_of(capsys, *arguments[:-1], "validation")
    expected = meta.metrics.val_bits_per_char
    assert validation["restored_bits_per_raw_char"] == pytest.approx(expected, rel=1e-6)
    assert score.main(arguments) == 0
    assert f"restored bits per raw character  {restored:.4f}\n" in capsys.readouterr().out
    whole = values_of(capsys, *arguments[:-2])
    assert whole["not_priced"] == "what the cleaning lower dropped"
    assert "restored_bits_per_raw_char" not in whole


@pytest.mark.parametrize("reports_per_epoch", [1, 2])
def test_long_text_is_split_as_its_network_was_judged(
    reports_per_epoch: int,
    book: Path,
    tiny_text: str,
    tiny_config: TrialConfig,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(held_out, "LONG_TEXT_CHARS", 1_000)
    monkeypatch.setattr(held_out, "HELD_OUT_CHARS", 300)
    lengths = None if reports_per_epoch == 1 else (len(tiny_text) - 600, 300)
    prepared = prepare_corpus(tiny_text, ["lower"], lengths=lengths)
    config = dataclasses.replace(tiny_config, epochs=1, reports_per_epoch=reports_per_epoch)
    trainer = Trainer(config, prepared.encoded["lower"])
    list(trainer.reports())
    trainer.save(tmp_path / "checkpoint")
    arguments = [str(tmp_path / "checkpoint"), "--text", str(book), "--part", "validation"]
    assert trainer.best_report is not None
    expected = trainer.best_report.val_bits_per_char
    found = values_of(capsys, *arguments)["restored_bits_per_raw_char"]
    assert found == pytest.approx(expected, rel=1e-6)


def test_units_are_what_their_names_say() -> None:
    text = "Ä b, ä"
    vocabulary = Vocabulary.of("ä ,b")
    found = score_text(
        lambda passage, _: np.full(len(passage), math.log(4)),
        vocabulary,
        text,
        cleaning="lower",
        context=np.zeros(1, dtype=np.uint8),
    )
    figures = found.figures()
    assert figures["bits_per_raw_char"] == pytest.approx(2.0)
    assert figures["bits_per_byte"] == pytest.approx(2.0 * 6 / 8)
    assert figures["nats_per_own_char"] == pytest.approx(math.log(4))
    assert figures["perplexity_per_word"] == pytest.approx(4**2)  # 3 words, 6 symbols
    assert (found.num_words, found.num_bytes, found.num_symbols) == (3, 8, 6)


@pytest.mark.parametrize(
    "text", ["acgt" * 400 + "\n" + "gatta" * 200, "お茶を飲む。今日は六時だ。\n" * 9]
)
def test_text_without_words_has_no_perplexity_per_word(text: str) -> None:
    found = score_text(
        lambda passage, _: np.full(len(passage), math.log(4)),
        Vocabulary.of(text),
        text,
        cleaning="cased",
        context=np.zeros(1, dtype=np.uint8),
    )
    figures = found.figures()
    assert figures.pop("perplexity_per_word") is None
    assert all(figures.values())


def test_long_text_is_scored_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[int, int]] = []

    def nats(passage: np.ndarray, context: np.ndarray) -> np.ndarray:
        read.append((len(passage), len(context)))
        return np.ones(len(passage))

    monkeypatch.setattr(text_score, "BLOCK_SYMBOLS", 4)
    start = np.zeros(1, dtype=np.uint8)
    found = score_text(nats, Vocabulary.of("ab"), "ab" * 5, cleaning="cased", context=start)
    assert found.nats == 10 and read == [(4, 1), (4, 4), (2, 4)]


def test_unknown_symbols_are_named_and_counted_or_priced() -> None:
    vocabulary, text = Vocabulary.of("ab"), "ab€a€b" * 10

    def scored(spell: bool) -> float:
        return score_text(
            lambda passage, _: np.full(len(passage), math.log(2)),
            vocabulary,
            text,
            cleaning="cased",
            context=np.zeros(1, dtype=np.uint8),
            spell_unknown=spell,
        ).nats

    with pytest.raises(ConfigError, match=r"20 of 60 are not: '€' \(U\+20AC\) is not among"):
        scored(False)
    where = math.log(61) + math.log(math.comb(60, 20))
    assert scored(True) == pytest.approx(
        40 * math.log(2) + where + 20 * math.log(UNICODE_CHARS - 2)
    )


def test_ngram_has_the_floor_of_a_search(
    book: Path, tiny_corpus: PreparedCorpus, capsys: pytest.CaptureFixture[str]
) -> None:
    floors = tiny_corpus.floors.of_cleaning
    for cleaning in ("cased", "lower"):
        flags = ["ngram", "--text", str(book), "--cleaning", cleaning]
        for part, expected in (
            ("validation", floors[cleaning].validation_bits_per_char),
            ("test", floors[cleaning].test_bits_per_char),
        ):
            values = values_of(capsys, *flags, "--part", part)
            # The order is chosen on the cleaned text here, and on the raw one in a search.
            assert values["bits_per_raw_char"] == pytest.approx(expected, rel=0.05)


def test_ngram_learns_another_text(
    book: Path, tiny_text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    split = split_text(tiny_text)
    Path("learnt.txt").write_text(split.train, encoding="utf-8")
    Path("other.txt").write_text(split.test + "€", encoding="utf-8")
    flags = ["ngram", "--train", "learnt.txt", "--text", "other.txt"]
    values = values_of(capsys, *flags, "--unknown", "spell")
    assert values["num_unknown_chars"] == 1
    assert score.main(flags) == 2
    assert "1 of" in (error := capsys.readouterr().err) and "'€'" in error


def test_held_out_text_of_its_own_is_scored_as_a_part(
    book: Path, tiny_text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("other.txt").write_text(tiny_text.upper()[:3_000], encoding="utf-8")
    flags = ["ngram", "--text", "book.txt", "--test", "other.txt"]
    values = values_of(capsys, *flags, "--part", "test")
    assert values["num_raw_chars"] == 3_000
    assert "test: file other.txt" in values["text"]
    assert score.main(flags) == 2
    assert "need --part validation or test" in capsys.readouterr().err
    assert score.main([*flags[:3], "--test", "book.txt", "--part", "test"]) == 2
    assert "must not stand in the training or validation text" in capsys.readouterr().err


def test_ngram_that_knows_what_it_scores_is_no_measure(
    book: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["ngram", "--train", "book.txt", "--text", "book.txt"]
    for part in ("whole", "test"):
        assert score.main([*flags, "--part", part]) == 0
        assert "warning: ngram has learnt the text that it scores\n" in capsys.readouterr().err
    assert score.main(["ngram", "--text", "book.txt", "--part", "test"]) == 0
    assert capsys.readouterr().err == ""


def test_predictor_spends_what_its_members_make(
    book: Path,
    predictor: Path,
    trained_checkpoint: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = values_of(capsys, str(predictor), "--text", str(book), "--part", "test")
    alone = values_of(capsys, str(trained_checkpoint), "--text", str(book), "--part", "test")
    assert 0 < whole["bits_per_raw_char"] < alone["bits_per_raw_char"]


@pytest.mark.slow
def test_any_model_is_scored_with_a_cache_and_a_predictor_without(
    book: Path,
    trained_checkpoint: Path,
    tiny_corpus: PreparedCorpus,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cache = NgramCache(shortest=2, longest=5, escape_weight=1.5)
    meta = PredictorMeta(weights=(1.0,), ngram_order=None, val_bits_per_char=1.25, cache=cache)
    folder = str(tmp_path / "cached")
    save_predictor(Path(folder), [trained_checkpoint], meta, None)
    flags = ["--text", str(book), "--part", "test"]
    alone = values_of(capsys, str(trained_checkpoint), *flags)
    cached = values_of(capsys, str(trained_checkpoint), *flags, "--cache", "2-5x1.5")
    assert alone["cache"] is None
    assert cached["cache"] == "contexts of 2 to 5 symbols, escape weight 1.5"
    assert cached["nats"] != pytest.approx(alone["nats"], rel=1e-3)
    for arguments, expected in (
        (flags, cached),
        ([*flags, "--cache", "none"], alone),
        ([*flags, "--cache", "2-5x1.5"], cached),
    ):
        values = values_of(capsys, folder, *arguments)
        assert values.keys() == expected.keys() and values["cache"] == expected["cache"]
        assert values["nats"] == pytest.approx(expected["nats"], rel=1e-5)
    ngram = values_of(capsys, "ngram", *flags, "--cache", "1-3x2")
    assert ngram["nats"] != pytest.approx(values_of(capsys, "ngram", *flags)["nats"], rel=1e-3)
    assert "cache" not in values_of(capsys, folder, *flags, "--windows", "4x9")


def test_windows_are_read_with_nothing_before_them(
    book: Path,
    predictor: Path,
    trained_checkpoint: Path,
    tiny_corpus: PreparedCorpus,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = ["--text", str(book), "--part", "validation", "--windows", "8x20", "--seed", "4"]
    values = values_of(capsys, str(trained_checkpoint), *flags)
    network, _ = load_checkpoint(trained_checkpoint)
    texts_TB = random_windows(
        tiny_corpus.encoded["lower"].validation.symbols, num_windows=8, length=20, seed=4
    )
    with torch.inference_mode():
        logits_TBV, _ = network.eval()(torch.from_numpy(texts_TB[:-1]).int())
    nats = torch.nn.functional.cross_entropy(
        logits_TBV.flatten(0, 1), torch.from_numpy(texts_TB[1:]).long().flatten()
    )
    assert values["nats_per_symbol"] == pytest.approx(nats.item(), rel=1e-5)
    assert values["bits_per_symbol"] == pytest.approx(nats.item() / math.log(2), rel=1e-5)
    again = values_of(capsys, str(trained_checkpoint), *flags)
    assert again == values and values["standard_error_nats"] > 0
    one = values_of(
        capsys, str(trained_checkpoint), *("1x20" if flag == "8x20" else flag for flag in flags)
    )
    assert one["standard_error_nats"] is None  # of one window nothing is known
    for model in (str(predictor), "ngram"):
        cleaning = ["--cleaning", "lower"] if model == "ngram" else []
        assert 0 < values_of(capsys, model, *flags, *cleaning)["nats_per_symbol"] < 5


@pytest.mark.slow
def test_network_of_words_is_scored_with_its_spelling(
    book: Path, tiny_text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = "--unit word --epochs 1 --hidden-size 8 --batch-size 4 --sequence-length 8"
    checkpoint = str(tmp_path / "words")
    arguments = ["--corpus", str(book), *settings.split(), "--checkpoint", checkpoint]
    assert train.main(arguments) == 0
    capsys.readouterr()
    values = values_of(capsys, checkpoint, "--text", str(book), "--part", "validation")
    _, meta = load_checkpoint(Path(checkpoint))
    assert values["bits_per_own_char"] == pytest.approx(
        meta.metrics.val_own_bits_per_char, rel=1e-4
    )
    assert values["num_symbols"] < values["num_own_chars"]
    windows = values_of(capsys, checkpoint, "--text", str(book), "--windows", "4x8")
    dropped = "what the cleaning lower dropped and the spelling of unknown words"
    assert windows["not_priced"] == dropped
    assert values["perplexity_per_word"] > 1


@pytest.mark.parametrize(
    ("flags", "rule"),
    [
        (["ngram", "--text", "book.txt"], "ngram needs a text to learn: --train TEXT"),
        (["nowhere", "--text", "book.txt"], "a checkpoint must be a folder"),
        (["ngram", "--text", "nowhere", "--part", "test"], "unknown corpus 'nowhere'"),
        (["ngram", "--text", "book.txt", "--part", "test", "--windows", "9"], "NUMBERxLENGTH"),
        (
            ["ngram", "--text", "book.txt", "--part", "test", "--windows", "2x9999"],
            "a text must be longer than a window of 9,999 symbols",
        ),
        (["ngram", "--text", "book.txt", "--part", "test", "--cleaning", "uper"], "'uper'"),
        (["ngram", "--text", "book.txt", "--part", "test", "--seed", "-1"], "seed must be"),
        (
            ["ngram", "--text", "book.txt", "--part", "test", "--seed", "1"],
            "--seed needs --windows",
        ),
        ([*_HELD_OUT, "--windows", "2x9", "--cache", "none"], "--cache cannot go with --windows"),
        ([*_HELD_OUT, "--cache", "4-12"], "cache must be none or SHORTEST-LONGESTxWEIGHT, such"),
        ([*_HELD_OUT, "--cache", "5-4x20"], "must have 1 to 32 symbols, got 5 to 4"),
        ([*_HELD_OUT, "--cache", "4-12x0"], "escape_weight must be above 0 and at most 1000"),
        (["nowhere", "--train", "book.txt", "--text", "book.txt"], "--train is only for ngram"),
        (["nowhere", "--cleaning", "lower", "--text", "book.txt"], "--cleaning is only for ngram"),
        (
            [
                "ngram",
                *[
                    "--text",
                    "book.txt",
                    "--part",
                    "test",
                    "--windows",
                    "2x9",
                    "--unknown",
                    "spell",
                ],
            ],
            "--unknown spell cannot go with --windows",
        ),
    ],
)
def test_mistakes_are_one_line(
    flags: list[str], rule: str, book: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score.main(flags) == 2
    error = capsys.readouterr().err
    assert rule in error and error.count("\n") == 1
