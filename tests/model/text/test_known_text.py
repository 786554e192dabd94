"""The text of a run, read again: what a run says of it is not believed."""

import hashlib
import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.errors import CorpusError
from model.text.corpus import Corpus
from model.text.known_text import known_text, remember

TEXT = "Once upon a time there was a text.\n"
SHA256 = hashlib.sha256(TEXT.encode()).hexdigest()


def again(location: str, **changes: object) -> Corpus:
    values: dict[str, object] = {"sha256": SHA256, "num_chars": len(TEXT), **changes}
    return known_text(location, **values)  # type: ignore[arg-type]


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """Return the address of a server, and what it is asked."""
    paths: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(TEXT.encode())

        def do_HEAD(self) -> None:
            self.do_GET()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
    ).start()
    yield f"127.0.0.1:{server.server_port}", paths
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "location",
    [
        "http://{}/book.txt",
        "s3://bucket/key?endpoint_override={}&scheme=http",
        "gs://b/k",
        "ftp://{}/x",
    ],
)
def test_no_address_that_a_run_names_is_asked(location: str, asked: tuple[str, list[str]]) -> None:
    address, paths = asked
    location = location.format(address)
    with pytest.raises(CorpusError, match="with --corpus"):
        again(location)
    assert paths == []


def test_text_of_a_url_or_a_pipe_is_known_by_its_hash() -> None:
    for location in ("https://example.org/book.txt", "/proc/7/fd/pipe:[3]"):
        remember(Corpus(name="x", location=location, source="s", text=TEXT))
        assert again(location).text == TEXT
    with pytest.raises(CorpusError, match="with --corpus"):
        again("https://example.org/book.txt", sha256="../" + SHA256)


def test_copy_beside_a_run_is_taken_if_it_is_the_text(tmp_path: Path) -> None:
    copy = tmp_path / "corpus.txt"
    copy.write_text(TEXT, encoding="utf-8")
    assert again("https://example.org/x", copies=[copy]).text == TEXT
    with pytest.raises(CorpusError, match="must have the 0 characters that the run says, got 35"):
        again("https://example.org/x", copies=[copy], num_chars=0)
    for content in ("another", "\ud800"):
        copy.write_text(content, encoding="utf-8", errors="surrogatepass")
        with pytest.raises(CorpusError, match="with --corpus"):
            again("https://example.org/x", copies=[copy])


def test_only_a_regular_file_of_a_likely_size_is_read(tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_bytes(b"\xef\xbb\xbf" + TEXT.encode().replace(b"\n", b"\r\n"))
    assert again(str(book)).text == TEXT
    with pytest.raises(CorpusError, match="must have the 36 characters that the run says"):
        again(str(book), num_chars=36)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(book)
    for name, size in (("large", 1 << 40), ("unlikely", 2 << 20)):  # the text has 35 characters
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    names = ("pipe", "link", "large", "unlikely", "no")
    for location in ("/dev/zero", *(str(tmp_path / name) for name in names)):
        with pytest.raises(CorpusError, match=f"must be given with --corpus: {location}: "):
            again(location)
    with pytest.raises(CorpusError, match="must be given with --corpus"):
        again("a\0b")
    book.write_text(TEXT + "more", encoding="utf-8")
    with pytest.raises(CorpusError, match="is no longer at"):
        again(str(book))
