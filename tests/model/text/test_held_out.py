"""Texts of their own to be judged on: where they stand, and when they are refused."""

import dataclasses
import random
import re
import string
from pathlib import Path

import pytest

from model import train
from model.errors import CorpusError
from model.text.corpus import Corpus, resolve_corpus
from model.text.held_out import (
    HELD_OUT_CHARS,
    LONG_TEXT_CHARS,
    shared,
    warning_of_copies,
    with_held_out,
    with_short_held_out,
)
from model.text.streams import split_text


def made_up(num_words: int, seed: int) -> str:
    generator = random.Random(seed)
    words = ["".join(generator.choices(string.ascii_lowercase, k=5)) for _ in range(num_words)]
    return " ".join(words) + "\n"


def corpus(name: str, text: str) -> Corpus:
    return Corpus(name=name, location=f"/{name}", source=f"file {name}", text=text)


BOOK, OTHER, THIRD = (made_up(400, seed) for seed in range(3))


def test_parts_are_the_texts_that_are_named() -> None:
    whole = with_held_out(
        corpus("book", BOOK), validation=corpus("v", OTHER), test=corpus("t", THIRD)
    )
    split = split_text(whole.text, whole.lengths)
    assert (split.train, split.validation, split.test) == (BOOK, OTHER, THIRD)
    assert whole.source == "file book; validation: file v; test: file t"
    assert whole.path_or_name is None  # that file alone is another text


def test_the_last_tenth_stands_for_the_passage_that_is_not_named() -> None:
    end = len(BOOK) * 9 // 10
    one = with_held_out(corpus("book", BOOK), validation=corpus("v", OTHER), test=None)
    split = split_text(one.text, one.lengths)
    assert (split.train, split.validation, split.test) == (BOOK[:end], OTHER, BOOK[end:])
    assert one.source.endswith("validation: file v; test: its last tenth")
    other = with_held_out(corpus("book", BOOK), validation=None, test=corpus("t", OTHER))
    split = split_text(other.text, other.lengths)
    assert (split.train, split.validation, split.test) == (BOOK[:end], BOOK[end:], OTHER)
    plain = corpus("book", BOOK)
    assert with_held_out(plain, validation=None, test=None) is plain


@pytest.mark.parametrize(
    "text",
    [BOOK, OTHER + BOOK[500:900], BOOK[37:700], "An introduction.\n" + BOOK[:600].upper() + BOOK],
)
def test_text_that_the_training_text_has_is_refused(text: str) -> None:
    with pytest.raises(
        CorpusError, match=r"test text must not stand in the training or validation text.* of t"
    ):
        with_held_out(corpus("book", BOOK), validation=corpus("v", THIRD), test=corpus("t", text))


def test_what_trials_are_judged_by_does_not_judge_finalists() -> None:
    with pytest.raises(CorpusError, match=r"test text must not stand in .* but 100% of t does"):
        with_held_out(corpus("book", BOOK), validation=corpus("v", OTHER), test=corpus("t", OTHER))
    with pytest.raises(CorpusError, match="validation text must not stand in the training text"):
        with_held_out(corpus("book", BOOK), validation=corpus("v", BOOK), test=None)


def test_last_tenth_that_is_the_validation_text_too_is_no_test_passage() -> None:
    carved = BOOK[len(BOOK) * 9 // 10 :]
    with pytest.raises(
        CorpusError, match=r"the test text must not .* the last tenth of book does"
    ):
        with_held_out(corpus("book", BOOK), validation=corpus("v", carved), test=None)
    # What the training text repeats in its own last tenth is no mistake: nor is it in a split.
    again = BOOK[: len(BOOK) // 2] * 2
    assert with_held_out(corpus("twice", again), validation=corpus("v", OTHER), test=None).lengths


def test_a_quotation_is_no_copy() -> None:
    long = made_up(20_000, 5)
    share, example = shared(long + BOOK[300:550], BOOK)
    assert 0 < share < 0.01 and example in BOOK
    held_out = corpus("v", long + BOOK[300:550])
    assert with_held_out(corpus("book", BOOK), validation=held_out, test=None).lengths
    assert shared(OTHER, BOOK) == (0.0, "")


def test_long_text_holds_out_no_more_than_judging_takes() -> None:
    book = corpus("book", "a" * LONG_TEXT_CHARS)
    assert with_short_held_out(book) is book
    long = with_short_held_out(corpus("long", "a" * (LONG_TEXT_CHARS + 1)))
    split = split_text(long.text, long.lengths)
    assert len(split.validation) == len(split.test) == HELD_OUT_CHARS
    assert len(split.train) == LONG_TEXT_CHARS + 1 - 2 * HELD_OUT_CHARS
    named = dataclasses.replace(
        corpus("named", "a" * LONG_TEXT_CHARS + "b" * 80_000 + "c" * 20_000),
        lengths=(LONG_TEXT_CHARS, 80_000),
    )
    short = with_short_held_out(named)
    split = split_text(short.text, short.lengths)
    assert split.train == "a" * LONG_TEXT_CHARS
    assert (split.validation, split.test) == ("b" * HELD_OUT_CHARS, "c" * 20_000)
    assert with_short_held_out(short) == short


def test_parts_that_leave_no_test_passage_are_refused() -> None:
    """A run from others may state them, beside the hash of a shorter text."""
    for lengths in ((len(BOOK) - 1, 1), (10**9, 10**9)):
        with pytest.raises(CorpusError, match=r"must have more than the [\d,]+ characters of"):
            split_text(BOOK, lengths)
    assert len(split_text(BOOK, (len(BOOK) - 2, 1)).test) == 1


def test_text_that_is_too_short_is_refused() -> None:
    with pytest.raises(CorpusError, match="validation text must have at least 100 characters"):
        with_held_out(corpus("book", BOOK), validation=corpus("v", "short"), test=None)


def test_network_is_trained_and_judged_on_texts_of_their_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, text in (("book", BOOK), ("v", OTHER), ("t", THIRD)):
        Path(f"{name}.txt").write_text(text, encoding="utf-8")
    flags = ["--epochs", "1", "--hidden-size", "4", "--batch-size", "4"]
    named = ["--corpus", "book.txt", "--validation", "v.txt"]
    assert train.main([*named, "--test", "t.txt", *flags]) == 0
    said = capsys.readouterr().out
    assert "file book.txt; validation: file v.txt; test: file t.txt" in said
    assert train.main([*named, "--test", "book.txt", *flags]) == 2
    refused = capsys.readouterr().err
    assert (
        "must not stand in the training or validation text, but 100% of book.txt does" in refused
    )
    assert refused.count("\n") == 1
    assert resolve_corpus("book.txt").lengths is None


def test_copies_in_the_training_part_are_told() -> None:
    twice = corpus("twice", made_up(2_000, 7) * 2)
    warning = warning_of_copies(twice)
    assert re.match(r"(8|9)\d% of the validation passage stands word for word in the tr", warning)
    lines = (f'{{"level": "INFO", "service": "x", "milliseconds": {n * n}}}' for n in range(999))
    log = corpus("log", "\n".join(lines) * 3)
    assert "stands word for word" in warning_of_copies(log)
    once = dataclasses.replace(log, text=str(log.text)[: len(log.text) // 3])
    assert warning_of_copies(once) == warning_of_copies(corpus("book", BOOK)) == ""
    named = with_held_out(corpus("book", BOOK), validation=corpus("v", OTHER), test=None)
    assert warning_of_copies(named) == ""


def test_copies_of_a_text_are_read_once(tmp_path: Path) -> None:
    for name, text in {"a": BOOK, "b": OTHER, "c": BOOK}.items():
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    folder = resolve_corpus(str(tmp_path))
    assert folder.text == BOOK + OTHER
    assert folder.source.endswith("2 files, 1 copy of a text left out")
    files = [str(path) for path in sorted(tmp_path.iterdir())]
    assert resolve_corpus(files).text == folder.text
    assert resolve_corpus(files).source.endswith(", 1 copy of a text left out")
    again = resolve_corpus([files[0]] * 3)
    assert again.text == BOOK and again.source.endswith(", 2 copies of a text left out")
