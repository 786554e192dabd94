"""Corpora with published parts: small files of their form, from this machine."""

import dataclasses
import errno
import fcntl
import io
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model.errors import CorpusError
from model.score import main as score
from model.system.files import cache_folder
from model.system.terminal import download_progress
from model.text import download, held_out, published
from model.text.compressed import members
from model.text.corpus import Corpus, resolve_corpus
from model.text.download import download_to
from model.text.held_out import with_named_held_out, with_short_held_out
from model.text.known_text import known_text, remember
from model.text.published import PUBLISHED
from model.text.reading import Reading
from model.text.streams import split_text
from model.train import main as train
from published_corpora import SENTENCES, RangeHandler, served, small_corpora, tarred, zipped

TEXT = SENTENCES * 40


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[RangeHandler]]:
    with small_corpora(monkeypatch) as handler:
        yield handler


def parts_of(corpus: Corpus) -> tuple[str, str, str]:
    split = split_text(corpus.text, corpus.lengths)
    return split.train, split.validation, split.test


def whole(tiny_shakespeare: Corpus) -> str:
    train, validation, test = parts_of(tiny_shakespeare)
    return validation + train + test


def test_table_has_the_published_sizes() -> None:
    tiny = PUBLISHED["tiny-shakespeare"].part_bytes
    assert tiny is not None
    train, validation, test = tiny
    assert test == range(int(0.9 * 1_115_394), 1_115_394)  # where nanoGPT splits
    # What is before the test part is trained on: they share a play.
    assert (validation.start, train) == (0, range(validation.stop, test.start))
    for name in ("text8", "enwik8"):
        parts = PUBLISHED[name].part_bytes
        assert parts is not None
        assert [part.stop for part in parts] == [90_000_000, 95_000_000, 100_000_000]
        assert list(map(len, parts)) == [90_000_000, 5_000_000, 5_000_000]
    # Of char-rnn's input.txt, whoever publishes it.
    assert PUBLISHED["tiny-shakespeare"].checksum[1].startswith("86c4e6aa9db7")
    for corpus in PUBLISHED.values():
        algorithm, digest = corpus.checksum
        assert len(digest) == {"sha256": 64, "md5": 32}[algorithm]
        assert set(digest) <= set("0123456789abcdef")


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("name", ["tiny-shakespeare", "text8", "enwik8"])
def test_text_is_split_where_it_was_published(name: str) -> None:
    corpus = resolve_corpus(name)
    assert corpus.is_published and corpus.name == corpus.location == name
    parts = published.PUBLISHED[name].part_bytes
    assert parts is not None
    # "ï" has two bytes, and none of them is lost where a part ends.
    in_order = sorted(zip(parts, parts_of(corpus), strict=True), key=lambda pair: pair[0].start)
    assert "".join(text for _, text in in_order) == TEXT
    assert all(abs(len(text.encode()) - len(part)) <= 3 for part, text in in_order)


def test_part_that_would_begin_within_a_character_begins_after_it() -> None:
    corpus = dataclasses.replace(
        PUBLISHED["tiny-shakespeare"], part_bytes=(range(3, 6), range(3), range(6, 9))
    )
    assert published._parts("x", corpus, "a€€bc".encode()) == ["€", "a€", "bc"]
    with pytest.raises(CorpusError, match=r"x must have 9 bytes unpacked, got 3"):
        published._parts("x", corpus, b"abc")


@pytest.mark.usefixtures("server")
def test_ptb_has_mikolovs_files_with_a_character_for_each_symbol() -> None:
    corpus = resolve_corpus("ptb-char")
    assert parts_of(corpus) == (TEXT, TEXT, TEXT)
    assert published._unspelled(" a _ < u n k > _ N \n b \n") == "a <unk> N\nb\n"


def test_second_reading_is_of_the_cache(server: type[RangeHandler]) -> None:
    first = resolve_corpus("text8")
    assert "downloaded from http://127.0.0.1" in first.source and first.source.endswith(
        "90, 5 and 5 million characters"
    )
    again = resolve_corpus("text8")
    assert again.text == first.text and again.source.startswith("cached file")
    assert server.asked == [None]
    assert [path.name for path in cache_folder().iterdir()] == ["text8.zip"]


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_interrupted_download_is_told_and_goes_on(
    knows_ranges: bool, server: type[RangeHandler]
) -> None:
    server.ends_after, server.knows_ranges = 1_000, knows_ranges
    with pytest.raises(CorpusError, match=r"ended after 1,000 of .* the same command goes on"):
        resolve_corpus("tiny-shakespeare")
    server.ends_after = None
    assert whole(resolve_corpus("tiny-shakespeare")) == TEXT
    assert server.asked == [None, "bytes=1000-"]


def test_damaged_file_is_refused_in_one_line_and_fetched_again(server: type[RangeHandler]) -> None:
    cache_folder().mkdir(parents=True)
    partial = cache_folder() / "tiny-shakespeare.txt.partial"
    partial.write_bytes(b"x" * 100)  # the beginning of something else
    with pytest.raises(CorpusError, match=r"must have .* bytes and sha256 \w{12}, but") as caught:
        resolve_corpus("tiny-shakespeare")
    assert "\n" not in str(caught.value)
    assert server.asked == ["bytes=100-"] and not partial.exists()
    path = cache_folder() / "tiny-shakespeare.txt"
    path.write_bytes(TEXT.encode()[:-1])
    with pytest.raises(CorpusError, match="removed, so the same command downloads it again"):
        resolve_corpus("tiny-shakespeare")
    assert whole(resolve_corpus("tiny-shakespeare")) == TEXT


def test_without_internet_one_line_says_where_the_file_may_be_put(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    away = dataclasses.replace(PUBLISHED["text8"], urls=("http://127.0.0.1:9/text8.zip",) * 2)
    monkeypatch.setattr(published, "PUBLISHED", {"text8": away})
    with pytest.raises(CorpusError, match=r"copied to .*text8.zip: .*: Connection refused$"):
        resolve_corpus("text8")
    assert train(["--corpus", "text8"]) == 2
    assert not (cache_folder() / "kernels").exists()  # told before anything is compiled, measured
    assert capsys.readouterr().err.count("\n") == 1


def test_second_url_is_asked_where_the_first_fails(
    server: type[RangeHandler], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = published.PUBLISHED["text8"]
    urls = (known.urls[0].replace("/text8", "/gone"), *known.urls)
    monkeypatch.setattr(published, "PUBLISHED", {"text8": dataclasses.replace(known, urls=urls)})
    assert resolve_corpus("text8").text == TEXT and len(server.asked) == 2


def test_page_of_another_size_is_not_taken_for_the_file(tmp_path: Path) -> None:
    partial = tmp_path / "file.partial"
    partial.write_bytes(b"abc")
    with served({"/login": b"<html>please log in</html>"}) as (address, handler):
        handler.knows_ranges = False
        with pytest.raises(CorpusError, match=r"must have 1,000 bytes, but .*/login has 26"):
            download_to(partial, f"{address}/login", num_bytes=1_000)
    assert partial.read_bytes() == b"abc"


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    partial = tmp_path / "file.partial"
    with partial.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(CorpusError, match="must be fetched by one process"):
            download_to(partial, "http://127.0.0.1:9/file", num_bytes=10)


def test_file_system_without_locks_takes_a_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_flock(file: Any, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_flock)
    partial = tmp_path / "file.partial"
    with served({"/file": b"ten bytes."}) as (address, _):
        download_to(partial, f"{address}/file", num_bytes=10)
    assert partial.read_bytes() == b"ten bytes."


def test_disk_that_takes_a_part_of_a_write_is_no_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, content = download.opened_to_append, bytes(range(256)) * 500

    class Part:
        """A file without a buffer that takes half of what it is given."""

        def __init__(self, path: Path) -> None:
            self._file = real(path)

        def __enter__(self) -> "Part":
            return self

        def __exit__(self, *_: object) -> None:
            self._file.close()

        def write(self, data: bytes) -> int:
            return self._file.write(data[: len(data) // 2 + 1])

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

    monkeypatch.setattr(download, "opened_to_append", Part)
    with served({"/file": content}) as (address, _):
        download_to(tmp_path / "f", f"{address}/file", num_bytes=len(content))
    assert (tmp_path / "f").read_bytes() == content


def test_progress_is_told_in_bytes(tmp_path: Path) -> None:
    told: list[int] = []
    with served({"/file": b"x" * 200_000}) as (address, _):
        download_to(tmp_path / "f", f"{address}/file", num_bytes=200_000, told=told.append)
    assert told == sorted(told) and told[-1] == 200_000


def test_progress_is_one_line_of_a_terminal_and_nothing_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    for is_terminal in (False, True):
        for last, size in ((500_000, "0.5/2.0 MB"), (2_000_000, "2.0/2.0 MB")):
            monkeypatch.setattr(sys.stderr, "isatty", lambda tty=is_terminal: tty, raising=False)
            with download_progress("text8", 2_000_000) as told:
                for num_bytes in (250_000, 250_001, last):
                    told(num_bytes)
            out, shown = capsys.readouterr()
            assert out == "" and shown.count("\n") == is_terminal
            assert is_terminal or not shown
            assert ("downloading text8 " in shown and size in shown) == is_terminal


def test_archive_gives_known_members_within_a_size() -> None:
    assert members("a.zip", zipped("text8", b"abc"), ["text8"], max_bytes=3) == [b"abc"]
    with pytest.raises(CorpusError, match=r"have 2 bytes at most, text8 in a\.zip holds more"):
        members("a.zip", zipped("text8", b"abc"), ["text8"], max_bytes=2)
    for data in (zipped("../other", b"abc"), tarred({"../other": b"abc"}), b"PK nothing", b"no"):
        with pytest.raises(CorpusError, match="damaged archive") as caught:
            members("a", data, ["text8"], max_bytes=9)
        assert "\n" not in str(caught.value)


def test_link_in_an_archive_leads_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hush")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as file:
        link = tarfile.TarInfo("text8")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret")
        file.addfile(link)
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        file.addfile(folder)
    for name in ("text8", "folder"):
        with pytest.raises(CorpusError, match="a corpus must be readable"):
            members("a.tar", archive.getvalue(), [name], max_bytes=99)


@pytest.mark.usefixtures("server")
def test_published_test_part_stays_whole_in_a_long_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_out, "LONG_TEXT_CHARS", 1_000)
    monkeypatch.setattr(held_out, "HELD_OUT_CHARS", 120)
    whole = resolve_corpus("text8")
    short = with_short_held_out(whole)
    train_part, validation, test = parts_of(whole)
    assert parts_of(short) == (train_part, validation[:120], test) and short.is_published
    with pytest.raises(CorpusError, match="published parts or --validation and --test"):
        with_named_held_out(whole, Reading(), validation="alice", test=None)
    # Its name gives another text, so this one is kept.
    remember(short)
    known = known_text("text8", sha256=short.sha256, num_chars=len(short.text))
    assert known.text == short.text


@pytest.mark.slow
@pytest.mark.usefixtures("server")
def test_commands_take_it_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    flags = "--epochs 1 --hidden-size 8 --cleaning cased --precision float32"
    assert train(["--corpus", "enwik8", "--checkpoint", "net", *flags.split()]) == 0
    out = capsys.readouterr().out
    assert "corpus: enwik8: downloaded from" in out and "5 million bytes" in out
    assert train(["--resume", "--checkpoint", "net"]) == 0
    assert "enwik8: cached file" in capsys.readouterr().out
    assert score(["net", "--text", "enwik8", "--part", "test", "--windows", "4x16"]) == 0
    assert score(["ngram", "--text", "ptb-char", "--part", "test"]) == 0
    assert "bits per byte" in capsys.readouterr().out
