"""A long text beyond ASCII is held packed: nobody reads another text, and it takes little."""

import dataclasses
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from model.scoring.objective import prepare_corpus
from model.text import packed as packed_module
from model.text.corpus import Corpus, resolve_corpus
from model.text.held_out import with_short_held_out
from model.text.packed import PackedText, packed
from model.text.streams import split_text

FACE = "\N{GRINNING FACE}"
LINE = "It was the best of times, it was the “worst” of times.\n"
LONG = (FACE + LINE * 30) * 5_000
"""8 million characters, four bytes each."""


def corpus(text: str) -> Corpus:
    return Corpus(name="long", location="long", source="long", text=text)


def test_parts_are_those_of_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_module, "_BLOCK_CHARS", 4)
    text = f"naïve {FACE} “çà”"
    for length in (0, 4, len(text)):
        whole = text[:length]
        of_whole = PackedText.of(whole)
        places = [None, *range(-length - 2, length + 3)]
        assert len(of_whole) == length
        assert str(of_whole) == f"{of_whole}" == whole
        assert of_whole.encode() == whole.encode()
        for start in places:
            for stop in places:
                assert of_whole[start:stop] == whole[start:stop]


def test_only_what_takes_less_is_packed() -> None:
    long = packed(LONG)
    assert isinstance(long, PackedText)
    assert packed(long) is long
    assert sys.getsizeof(long) < 0.05 * sys.getsizeof(LONG)
    for text in (LINE, "ASCII alone\n" * 200_000):
        assert packed(text) is text


def test_long_corpus_is_that_of_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    text = LONG[:2_000_000]
    whole = with_short_held_out(corpus(text))
    assert isinstance(whole.text, PackedText)
    assert str(whole.text) == text
    split, same = split_text(whole.text, whole.lengths), split_text(text, whole.lengths)
    assert (split.train, split.validation, split.test) == (same.train, same.validation, same.test)
    own = dataclasses.replace(whole, lengths=(100_000, 900_000))
    assert str(with_short_held_out(own).text) == text[:150_000] + text[1_000_000:1_050_000]
    monkeypatch.setattr(packed_module, "_BLOCK_CHARS", 1 << 30)
    assert with_short_held_out(corpus(text)).sha256 == whole.sha256


def test_long_text_is_prepared_as_it_was_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    text = LONG[:20_000]
    cleanings = ["cased", "lower", "letters"]
    expected = prepare_corpus(text, cleanings, min_char_count=20)
    monkeypatch.setattr(packed_module, "_BLOCK_CHARS", 3_000)
    found = prepare_corpus(PackedText.of(text), cleanings, min_char_count=20)
    assert (found.floors, found.resemblance) == (expected.floors, expected.resemblance)
    for cleaning in cleanings:
        for mine, theirs in zip(
            found.encoded[cleaning].parts, expected.encoded[cleaning].parts, strict=True
        ):
            assert np.array_equal(mine.symbols, theirs.symbols)


def test_bytes_are_made_once() -> None:
    """Their sha256 is asked for beside all streams: joined parts took another gigabyte."""
    whole, num_bytes = PackedText.of(LONG), len(LONG.encode())
    tracemalloc.start()
    try:
        assert len(whole.encode()) == num_bytes
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.6 * num_bytes  # a block, and what a growing buffer reserves


@pytest.mark.parametrize(
    "before",
    ["\ufeff", "A line of Windows\r\n", "He gives to Project Gutenberg.\n"],
    ids=["mark", "lines", "mention"],
)
def test_reading_makes_no_second_text(tmp_path: Path, before: str) -> None:
    """One character beyond 16 bits makes each four bytes: a gigabyte and its copy are eight."""
    path = tmp_path / "long.txt"
    path.write_bytes((before + LONG).encode())
    expected = before.removeprefix("\ufeff").replace("\r", "") + LONG
    tracemalloc.start()
    try:
        read = resolve_corpus(str(path))
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * sys.getsizeof(expected)
    assert held < 0.05 * sys.getsizeof(expected)
    assert str(read.text) == expected
