import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from model.errors import ConfigError, CorpusError
from model.text.cleaning import CLEANINGS, Cleaning, clean
from model.text.corpus import resolve_corpus
from model.text.packed import PackedText, Text
from model.text.streams import encode_corpus, split_text

RAW = "Chapter I.\n\tAlice's  \u201csix\u201d ÄPFEL\u00a0e\u0301té İstanbul, 42 日本語!"


@pytest.mark.parametrize(
    ("cleaning", "expected"),
    [
        ("cased", RAW),
        ("lower", RAW.replace("C", "c").replace("I.", "i.").replace("Alice", "alice"
        ).replace("ÄPFEL", "äpfel")),
        ("letters", "chapter i  alices  six äpfel e\u0301té İstanbul  日本語"),
    ],
)  # fmt: skip
def test_golden(cleaning: str, expected: str) -> None:
    assert clean(RAW, cleaning) == expected


@pytest.mark.parametrize("cleaning", CLEANINGS)
def test_cleaning_the_parts_is_cleaning_the_whole(cleaning: str) -> None:
    for cut in range(len(RAW)):
        assert clean(RAW[:cut], cleaning) + clean(RAW[cut:], cleaning) == clean(RAW, cleaning)
    assert all(len(clean(char, cleaning)) <= 1 for char in RAW)


def test_unknown_cleaning_gives_the_choices() -> None:
    with pytest.raises(ConfigError, match="unknown cleaning 'letter'; did you mean letters"):
        clean("text", "letter")


def test_cleaning_that_keeps_too_little_is_refused() -> None:
    numbers = split_text("1234567890 five " * 100)
    with pytest.raises(CorpusError, match="at least half of the text"):
        encode_corpus(numbers, "letters")


@pytest.mark.parametrize(
    ("cleaning", "num_chars", "num_symbols"), [("lower", 144_342, 43), ("letters", 136_024, 27)]
)
def test_reference_book_has_its_documented_size(
    wonderland_path: Path, cleaning: str, num_chars: int, num_symbols: int
) -> None:
    encoded = encode_corpus(split_text(resolve_corpus(str(wonderland_path)).text), cleaning)
    assert encoded.num_chars == num_chars
    assert len(encoded.vocabulary) == num_symbols


@pytest.mark.parametrize(
    ("char_map", "what"),
    [
        (lambda char: "" if char in "aeiou" else char, "must keep the letter"),
        (lambda char: "x" if char == "y" else char, "must keep the letter 'y', got 'x'"),
        (lambda char: char * 2, "becomes"),
    ],
)
def test_cleaning_that_drops_letters_is_a_defect(
    char_map: Callable[[str], str], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CLEANINGS, "added", Cleaning(char=char_map, description="added"))
    with pytest.raises(AssertionError, match=what):
        clean("a yellow house", "added")


def test_every_cleaning_leaves_the_letters_of_the_raw_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    digits = Cleaning(char=lambda char: "0" if char.isdigit() else char, description="one digit")
    monkeypatch.setitem(CLEANINGS, "digits", digits)
    assert clean(RAW, "digits").count("00") == 1
    for cleaning in CLEANINGS:
        assert clean(clean(RAW, cleaning), "letters") == clean(RAW, "letters")


@pytest.mark.parametrize("held_as", [str, PackedText.of])
def test_long_text_is_split_and_encoded_without_a_copy_of_it(
    held_as: Callable[[str], Text],
) -> None:
    """A gigabyte with one character beyond 16 bits takes four: a copy did not fit beside it."""
    text = "It was the best of times, it was the worst of times.\n" * 150_000 + "\N{GRINNING FACE}"
    held = held_as(text)
    tracemalloc.start()
    try:
        encoded = encode_corpus(split_text(held), "letters")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert encoded.num_bytes < len(text)
    assert peak < 0.9 * sys.getsizeof(text)
