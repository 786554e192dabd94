import http.server
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from model.errors import ConfigError, CorpusError
from model.system.files import cache_folder
from model.text import compressed
from model.text import corpus as corpus_module
from model.text.corpus import corpus_of, resolve_corpus
from model.text.gutenberg import strip_gutenberg
from tune.records.run_folder import RunFolder

GUTENBERG = """Header with licence
*** START OF THE PROJECT GUTENBERG EBOOK A BOOK ***
A Book
Contents
CHAPTER I. Down
CHAPTER II. Up

CHAPTER I. Down
{story}
CHAPTER II. Up
The end

*** END OF THE PROJECT GUTENBERG EBOOK A BOOK ***
Footer with licence
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None: ...

    handler = partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


def test_file_drops_byte_order_mark_and_carriage_returns(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree\n")
    assert resolve_corpus(str(path)).text == "one\ntwo\nthree\n"


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "must have more than blanks"),
        (b" \n\n", "must have more than blanks"),
        (b"text\0text", "has 1 NUL character, the first at offset 4 in line 1"),
        (b"caf\xe9 au lait", "byte 0xe9 at offset 3"),
        (b"\xef\xbb\xbfcaf\xe9 au lait", "byte 0xe9 at offset 6"),
    ],
)
def test_unfit_file_is_refused(tmp_path: Path, data: bytes, rule: str) -> None:
    path = tmp_path / "book.txt"
    path.write_bytes(data)
    with pytest.raises(CorpusError, match=rule):
        resolve_corpus(str(path))


def test_unknown_name_gives_the_choices() -> None:
    with pytest.raises(CorpusError, match=r"'alise'; did you mean alice.*python-docs.*UTF-8 file"):
        resolve_corpus("alise")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("~nobody-of-this-name/x.txt", "home directory"), ("x" * 256, "File name too long")],
)
def test_name_that_can_be_no_file_is_refused(name: str, reason: str) -> None:
    with pytest.raises(CorpusError, match=f"must be readable: {name}: .*{reason}"):
        resolve_corpus(name)


@pytest.mark.parametrize("name", ["", [], ["book.txt", ""]])
def test_text_without_a_name_is_not_the_current_folder(
    name: str | list[str],
) -> None:
    Path("book.txt").write_text("Once upon a time", encoding="utf-8")
    with pytest.raises(CorpusError, match="a text must have a name, got"):
        resolve_corpus(name)


def test_url_is_downloaded(tmp_path: Path, server: str) -> None:
    (tmp_path / "book.txt").write_text("Once upon a time", encoding="utf-8")
    assert resolve_corpus(f"{server}/book.txt").text == "Once upon a time"
    with pytest.raises(CorpusError, match="must be reachable"):
        resolve_corpus(f"{server}/missing.txt")


def test_alice_is_cached_and_is_the_default(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = "Alice was beginning to get very tired. " * 40
    page = GUTENBERG.format(story=story)
    (tmp_path / "pg11.txt").write_text(page, encoding="utf-8")
    monkeypatch.setattr(corpus_module, "ALICE_URL", f"{server}/pg11.txt")
    downloaded = resolve_corpus(None)
    assert downloaded.name == "alice"
    assert downloaded.text.startswith("CHAPTER I. Down\nAlice was")
    (tmp_path / "pg11.txt").unlink()
    cached = resolve_corpus("alice")
    assert cached.text == downloaded.text
    assert "cached" in cached.source


def test_default_falls_back_and_says_why_but_a_named_corpus_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(corpus_module, "ALICE_URL", "http://127.0.0.1:9/pg11.txt")
    fallback = resolve_corpus(None)
    assert fallback.name == "python-docs"
    assert "alice is unavailable" in fallback.source
    assert fallback.source.endswith("pg11.txt: Connection refused")  # no number of an error
    assert len(fallback.text) > 300_000
    with pytest.raises(CorpusError, match="must be reachable"):
        resolve_corpus("alice")


@pytest.mark.parametrize(
    "answer", ["please log in to this network", GUTENBERG.partition("*** END")[0]]
)
def test_answer_that_is_not_the_whole_book_is_not_cached(
    answer: str, tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pg11.txt").write_text(answer, encoding="utf-8")
    monkeypatch.setattr(corpus_module, "ALICE_URL", f"{server}/pg11.txt")
    with pytest.raises(CorpusError, match="must be the whole book, got another text, downloaded"):
        resolve_corpus("alice")
    assert not (tmp_path / "cache").exists()


def test_part_of_alice_that_is_cached_is_replaced_by_the_book(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = GUTENBERG.format(story="Alice was beginning to get very tired. " * 40)
    (tmp_path / "pg11.txt").write_text(page, encoding="utf-8")
    monkeypatch.setattr(corpus_module, "ALICE_URL", f"{server}/pg11.txt")
    whole = resolve_corpus("alice")
    (cached,) = (path for path in (tmp_path / "cache").rglob("*") if path.is_file())
    for part in (page[: len(page) // 2], " ", "\0"):
        cached.write_text(part, encoding="utf-8")
        assert resolve_corpus("alice") == whole
        assert cached.read_text(encoding="utf-8") == page


def test_cache_needs_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", no_home)
    assert cache_folder() == Path("/.cache/char-lstm-tune")


def test_gutenberg_wrapping_is_stripped_past_the_contents() -> None:
    story = "It was a dark night. " * 60
    book = strip_gutenberg(GUTENBERG.format(story=story))
    assert book.startswith(f"CHAPTER I. Down\n{story}")
    assert book.endswith("The end")
    assert strip_gutenberg("CHAPTER I. no markers") == "CHAPTER I. no markers"


def test_gutenberg_file_of_2011_is_the_reference_book(shared_data: Path) -> None:
    ours = resolve_corpus(str(shared_data / "gutenberg-11-2011.txt"))
    assert ours.text == resolve_corpus(str(shared_data / "wonderland.txt")).text
    assert len(ours.text) == 144_342


def test_text_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressed.read_at_most, "__defaults__", (1 << 20,))
    with pytest.raises(CorpusError, match="must have 1,048,576 bytes at most, /dev/zero holds"):
        resolve_corpus("/dev/zero")
    with Path("/dev/zero").open() as endless:
        monkeypatch.setattr(sys, "stdin", endless)
        with pytest.raises(CorpusError, match="bytes at most, - holds more"):
            resolve_corpus("-")


def test_file_is_held_to_the_size_that_it_is_asked_for() -> None:
    with pytest.raises(CorpusError, match="must have 9 bytes at most, x holds more"):
        corpus_of("x", "", b"a line of 21 letters.", max_bytes=9)
    assert corpus_of("x", "", b"nine left", max_bytes=9).text == "nine left"


def test_cache_that_cannot_be_read_is_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(path: Path, *_: object) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", forbidden)
    monkeypatch.setattr(Path, "exists", forbidden)
    monkeypatch.setattr(corpus_module, "download", lambda url, **_: GUTENBERG.encode())
    assert resolve_corpus("alice").source.startswith("downloaded from")
    with pytest.raises(CorpusError, match=r"readable: .*text8\.zip: Permission denied"):
        resolve_corpus("text8")


def test_path_that_no_file_of_ours_could_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "caf\udce9"
    folder.mkdir()
    (folder / "book.txt").write_text("a book\n", encoding="utf-8")
    monkeypatch.chdir(folder)
    with pytest.raises(ConfigError, match=r"a path must be UTF-8, got '.*caf\\udce9/book.txt'"):
        resolve_corpus("book.txt")
    with pytest.raises(ConfigError, match="a path must be UTF-8"):
        RunFolder.create(Path("results/ten"))
    assert not Path("results").exists()
