"""Texts from URLs: limits of size and time, and where a redirect may lead."""

import contextlib
import http.server
import io
import itertools
import socket
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from model.errors import CorpusError
from model.text import download as download_module
from model.text.corpus import resolve_corpus
from model.text.download import download, download_object
from s3_server import s3_server

TEXT = b"Once upon a time"


class Handler(http.server.BaseHTTPRequestHandler):
    """Sends /to/URL to URL, never ends /drip and /drip-headers, and has a text otherwise.

    It ends before the text that it has promised where the path says in which way.
    """

    seen: ClassVar[list[str]] = []
    ending = threading.Event()
    promises: ClassVar[dict[str, tuple[str, str]]] = {
        "/whole": ("Content-Length", str(len(TEXT))),
        "/cut": ("Content-Length", str(len(TEXT) + 1)),
        "/cut-at-once": ("Content-Length", str(1 << 40)),
        "/cut-chunks": ("Transfer-Encoding", "chunked"),
    }

    def do_GET(self) -> None:
        self.seen.append(self.path)
        _, _, target = self.path.partition("/to/")
        if self.path == "/drip-headers":
            self._drip(b"HTTP/1.0 200 OK\r\nX: ")
            return
        self.send_response(302 if target else 200)
        if target:
            self.send_header("Location", target)
        if self.path in self.promises:
            self.send_header(*self.promises[self.path])
        self.end_headers()
        if self.path == "/cut-at-once":
            return
        if self.path == "/cut-chunks":
            self.wfile.write(b"%x\r\n%b\r\n" % (len(TEXT), TEXT))
            return
        if self.path == "/drip":
            self._drip(b"")
            return
        self.wfile.write(TEXT)

    def _drip(self, first: bytes) -> None:
        """Send some bytes, then one after the other until the server ends."""
        with contextlib.suppress(OSError):
            self.wfile.write(first)
            while not self.ending.wait(0.02):
                self.wfile.write(b"x")

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def port() -> Iterator[int]:
    Handler.seen.clear()
    Handler.ending.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        Handler.ending.set()
        server.shutdown()
        thread.join()


def test_what_is_kept_of_a_url_has_no_signature(port: int) -> None:
    corpus = resolve_corpus(f"http://127.0.0.1:{port}/book?X-Amz-Expires=60&X-Amz-Signature=hush")
    for kept in (corpus.name, corpus.location, corpus.source):
        assert "/book?X-Amz-Expires=60" in kept and "hush" not in kept
    assert Handler.seen == ["/book?X-Amz-Expires=60&X-Amz-Signature=hush"]


def test_url_of_the_user_may_be_anywhere_and_redirect_on_its_host(port: int) -> None:
    assert download(f"http://127.0.0.1:{port}/book", seconds=60) == TEXT
    onward = f"http://127.0.0.1:{port}/to/http://127.0.0.1:{port}/book"
    assert download(onward, seconds=60) == TEXT


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "rule"),
    [
        ("file:///etc/hostname", "file:///etc/hostname' is not allowed"),
        ("ftp://localhost/x", "redirects to ftp://localhost; name that URL instead"),
        ("http://127.0.0.1:{port}/secret", "redirects to http://127.0.0.1:"),
        ("http://169.254.169.254/latest/meta-data", "redirects to http://169.254.169.254; name"),
        ("http://10.0.0.1/x", "redirects to http://10.0.0.1; name"),
        ("http://8.8.8.8/x", "redirects to http://8.8.8.8; name"),
        ("https://localhost.example/x", "redirects to https://localhost.example; name"),
        ("http://localhost@127.0.0.1:{port}/secret", "redirects to http://localhost@127.0.0.1:"),
        ("http://[::1]:{port}/secret", "redirects to http://[::1]:"),
        ("http://[::ffff:127.0.0.1]:{port}/secret", "redirects to http://[::ffff:127.0.0.1]:"),
        ("http://0x7f000001:{port}/secret", "redirects to http://0x7f000001:"),
    ],
)
def test_redirect_reaches_no_file_and_no_other_host(target: str, rule: str, port: int) -> None:
    # The user names the server by a name that is not the address it redirects to.
    with pytest.raises(CorpusError, match="must be reachable") as caught:
        download(f"http://localhost:{port}/to/{target.format(port=port)}", seconds=60)
    assert rule in str(caught.value) and "\n" not in str(caught.value)
    assert len(Handler.seen) == 1


def test_redirect_from_an_address_to_a_name_of_its_own_is_to_another_host(port: int) -> None:
    with pytest.raises(CorpusError, match="redirects to http://localhost"):
        download(f"http://127.0.0.1:{port}/to/http://localhost:{port}/secret", seconds=60)
    assert Handler.seen == [f"/to/http://localhost:{port}/secret"]


def test_host_that_moves_home_while_it_redirects_is_asked_where_it_was(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: at the second look the user's own host is another machine of the network."""
    looks = itertools.count()
    connect = socket.create_connection

    def rebound(address: tuple[str, int], *args: Any, **kwargs: Any) -> socket.socket:
        host, its_port = address
        if host == "book.example":
            host = ("127.0.0.1", "127.0.0.2")[min(next(looks), 1)]
        return connect((host, its_port), *args, **kwargs)

    class Other(Handler):
        seen: ClassVar[list[str]] = []

    monkeypatch.setattr(socket, "create_connection", rebound)
    other = http.server.ThreadingHTTPServer(("127.0.0.2", port), Other)
    threading.Thread(
        target=other.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
    ).start()
    url = f"http://book.example:{port}"
    try:
        assert download(f"{url}/to/{url}/book", seconds=60) == TEXT
    finally:
        other.shutdown()
        other.server_close()
    assert Handler.seen == [f"/to/{url}/book", "/book"] and not Other.seen


def test_redirect_from_http_to_https_of_the_same_host_is_followed() -> None:
    opener: Any = download_module._opener("book.example")
    (redirects,) = (
        handler
        for handler in opener.handlers
        if isinstance(handler, urllib.request.HTTPRedirectHandler)
    )
    url = "https://Book.example/a.txt"
    first = urllib.request.Request("http://book.example/a.txt")
    onward = redirects.redirect_request(first, io.BytesIO(), 302, "Found", {}, url)
    assert onward is not None and onward.full_url == url


def test_too_large_is_refused(port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    assert download(f"{url}/book", seconds=60, max_bytes=len(TEXT)) == TEXT
    with pytest.raises(CorpusError, match="at most 15 bytes"):
        download(f"{url}/book", seconds=60, max_bytes=len(TEXT) - 1)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("cut", "it ended after 16 of 17 bytes"),
        ("cut-at-once", "it ended after 0 of 1,099,511,627,776 bytes"),
        ("cut-chunks", "IncompleteRead"),
    ],
)
def test_answer_that_ends_early_is_no_text(path: str, reason: str, port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    assert download(f"{url}/whole", seconds=60) == TEXT
    with pytest.raises(CorpusError, match=f"must be reachable: {url}/{path}: {reason}"):
        download(f"{url}/{path}", seconds=60)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["drip", "drip-headers"])
def test_a_server_that_drips_is_waited_for_no_longer_than_any(path: str, port: int) -> None:
    # The server never ends by itself.
    with pytest.raises(CorpusError, match="must answer within 1 s"):
        download(f"http://127.0.0.1:{port}/{path}", seconds=1)


def test_the_case_of_a_host_is_of_no_matter(port: int) -> None:
    assert download(f"http://LOCALHOST:{port}/book", seconds=60) == TEXT
    onward = f"http://LocalHost:{port}/to/http://localHOST:{port}/book"
    assert download(onward, seconds=60) == TEXT


def test_credentials_in_a_uri_are_refused() -> None:
    with pytest.raises(CorpusError, match="must hold no credentials") as caught:
        resolve_corpus("s3://key:hush@bucket/book.txt")
    assert "hush" not in str(caught.value)


def test_text_is_read_from_any_scheme_that_a_storage_may_have(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_bytes(TEXT)
    assert resolve_corpus(f"file://{tmp_path}/book.txt").text == TEXT.decode()
    with pytest.raises(CorpusError, match="a URL must be reachable: ftp://host"):
        resolve_corpus("ftp://host/book.txt")


@pytest.mark.slow
def test_text_in_an_object_store(monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_server() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        from model.system.filesystem import open_location

        with open_location("s3://bucket")[0].open_output_stream("bucket/book.txt") as stream:
            stream.write(TEXT)
        corpus = resolve_corpus("s3://bucket/book.txt")
        assert (corpus.text, corpus.location) == (TEXT.decode(), "s3://bucket/book.txt")
        with pytest.raises(CorpusError, match="at most 15 bytes"):
            download_object("s3://bucket/book.txt", seconds=10, max_bytes=15)
        with pytest.raises(CorpusError, match="must be reachable"):
            resolve_corpus("s3://bucket/missing.txt")
