"""Texts as they lie about: compressed, in a folder, on standard input."""

import bz2
import gzip
import io
import lzma
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest

from model.errors import CorpusError
from model.text.compressed import members, unpacked
from model.text.corpus import resolve_corpus
from model.text.known_text import known_text, remember, text_at

TEXT = "It was the best of times, it was the worst of times.\n" * 200


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
}


@pytest.mark.parametrize("kind", PACKERS)
def test_compressed_file_is_read_whatever_its_name(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_bytes(PACKERS[kind](TEXT.encode()))
    corpus = resolve_corpus(str(path))
    assert corpus.text == TEXT and corpus.location == str(path)
    assert text_at(str(path)).text == TEXT


@pytest.mark.parametrize("kind", PACKERS)
def test_damaged_file_is_one_line(kind: str, tmp_path: Path) -> None:
    text = " ".join(str(number**3) for number in range(9_000))
    packed = PACKERS[kind](text.encode())
    path = tmp_path / "book.gz"
    half = len(packed) // 2
    for damaged in (packed[:half], packed[:12], packed[:half] + bytes(99) + packed[half + 99 :]):
        path.write_bytes(damaged)
        with pytest.raises(CorpusError, match=f"book.gz is damaged {kind}: ") as error:
            resolve_corpus(str(path))
        assert "\n" not in str(error.value)


def test_damaged_tar_archive_in_xz_is_one_line() -> None:
    packed = io.BytesIO()
    text = " ".join(str(number**3) for number in range(9_000)).encode()
    with tarfile.open(fileobj=packed, mode="w:xz") as archive:
        member = tarfile.TarInfo("book.txt")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    data = packed.getvalue()
    half = len(data) // 2
    for damaged in (data[:half], data[:half] + bytes(99) + data[half + 99 :]):
        with pytest.raises(CorpusError, match="books is a damaged archive: ") as error:
            members("books", damaged, ["book.txt"], max_bytes=1 << 20)
        assert "\n" not in str(error.value)


def test_text_may_begin_as_bzip2_does(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("BZh9, BZhang Wei wrote this.", encoding="utf-8")
    assert resolve_corpus(str(path)).text == "BZh9, BZhang Wei wrote this."


def test_little_memory_is_taken_for_a_little_text() -> None:
    for pack in PACKERS.values():
        packed = pack(TEXT.encode())
        tracemalloc.start()
        unpacked("x", packed)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 30_000_000


@pytest.mark.parametrize("kind", PACKERS)
def test_small_file_that_holds_much_is_refused_before_it_fills_memory(kind: str) -> None:
    bomb = PACKERS[kind](b"a" * 10_000_000)
    assert len(bomb) < 20_000
    with pytest.raises(CorpusError, match="must have 1,000 bytes at most, x holds more"):
        unpacked("x", bomb, max_bytes=1_000)
    assert len(unpacked("x", bomb)) == 10_000_000


def test_text_of_a_run_unpacks_to_its_own_size_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "book.gz"
    path.write_bytes(gzip.compress(b"a" * 10_000_000))
    with pytest.raises(CorpusError, match="holds more"):
        known_text(str(path), sha256="0" * 64, num_chars=1_000)


def test_folder_is_its_texts_in_the_order_of_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "books"
    (folder / "more").mkdir(parents=True)
    book = (
        "*** START OF THE PROJECT GUTENBERG EBOOK X ***\nsecond\n*** END OF THE PROJECT GUTENBERG"
    )
    (folder / "b.txt").write_text(f"{book} EBOOK X ***\n", encoding="utf-8")
    (folder / "a.txt").write_text("first\n", encoding="utf-8")
    (folder / "more" / "c.txt.gz").write_bytes(gzip.compress(b"third"))
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    (folder / "latin.txt").write_bytes("déjà vu".encode("latin-1"))
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("hidden", encoding="utf-8")
    corpus = resolve_corpus(str(folder))
    assert corpus.text == "first\nsecond\nthird\n"
    removed = "what Gutenberg adds removed from 1"
    assert (
        corpus.source == f"folder {folder}, 3 files, 2 without a readable text skipped, {removed}"
    )
    remember(corpus)  # a folder changes more easily than a file
    (folder / "b.txt").unlink()
    known = known_text(str(folder), sha256=corpus.sha256, num_chars=len(corpus.text))
    assert known.text == corpus.text


def test_several_texts_follow_one_another_as_they_are_named(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("second", encoding="utf-8")
    (tmp_path / "a.txt").write_text("first\n", encoding="utf-8")
    names = [str(tmp_path / "b.txt"), str(tmp_path / "a.txt")]
    corpus = resolve_corpus(names)
    assert corpus.text == "second\nfirst\n" and corpus.name == f"2 texts, {names[0]} to {names[1]}"
    assert corpus.source == f"file {names[0]}; file {names[1]}" and corpus.path_or_name is None
    remember(corpus)
    known = known_text(corpus.location, sha256=corpus.sha256, num_chars=13)
    assert known.text == corpus.text
    more = [tmp_path / f"{number}.txt" for number in range(6)]
    for path in more:
        path.write_text(f"{path.stem}\n", encoding="utf-8")
    many = resolve_corpus([*names, *map(str, more)])
    assert many.text == f"{corpus.text}0\n1\n2\n3\n4\n5\n"
    assert many.source.endswith(f"file {more[0]}; and 5 more")
    assert resolve_corpus(names[:1]) == resolve_corpus(names[0])
    with pytest.raises(CorpusError, match="nowhere"):
        resolve_corpus([names[0], "nowhere"])


def test_folder_without_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="must have a text: of 0 files in"):
        resolve_corpus(str(tmp_path))
    (tmp_path / "x").write_bytes(b"\0\1\2")
    with pytest.raises(CorpusError, match=r"of 1 files in .* none is one"):
        resolve_corpus(str(tmp_path))


def test_standard_input_is_a_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(TEXT.encode())))
    corpus = resolve_corpus("-")
    assert corpus.text == TEXT and corpus.path_or_name is None
    remember(corpus)
    assert known_text("-", sha256=corpus.sha256, num_chars=len(TEXT)).text == TEXT
