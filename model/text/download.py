"""Fetches a text from a URL: http(s) or an object store, within a time and a size.

A large file can be fetched in several goes (`download_to`), without a limit of time for the whole.

The user's own URL may name any host. A redirect is followed only to http(s) on that host, at the
address that its name had at first, so no server leads us to another machine.
"""

import contextlib
import http.client
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from model.errors import ConfigError, CorpusError, first_line
from model.system.files import append_whole, lock_file, opened_to_append
from model.system.filesystem import STORE_ERRORS, open_location, within_seconds
from model.system.secrets import redacted

MAX_BYTES = 256 << 20
"""A longer text is refused: a character-level search of it would take weeks."""
_CHUNK_BYTES = 1 << 16
SILENT_SECONDS = 60.0
"""A server that sends nothing for so long is given up by `download_to`."""


def download(url: str, *, seconds: float, max_bytes: int = MAX_BYTES) -> bytes:
    """Fetch an http(s) URL.

    Args:
        url: What the user named.
        seconds: The most for the whole.
        max_bytes: The most that is read, inclusive.

    Raises:
        CorpusError: It cannot be had, takes too long, is too large, or leads where it must not.
    """
    deadline = time.monotonic() + seconds

    def fetch() -> bytes:
        chunks, num_bytes = [], 0
        with _opener(urlsplit(url).hostname or "").open(url, timeout=seconds) as response:
            length = response.length  # what the server promises; None if nothing
            # read1 gives what has come; read waits for a whole chunk, however slowly it drips.
            while chunk := response.read1(_CHUNK_BYTES):
                chunks.append(chunk)
                num_bytes += len(chunk)
                _check_size(url, num_bytes, max_bytes)
                if time.monotonic() > deadline:
                    raise _too_slow(url, seconds)
        if length is not None and num_bytes < length:  # read1 says nothing of it
            raise OSError(f"it ended after {num_bytes:,} of {length:,} bytes")
        return b"".join(chunks)

    with _reachable(url):
        return within_seconds(seconds, fetch, late=_too_slow(url, seconds))


def download_to(
    partial: Path, url: str, *, num_bytes: int, told: Callable[[int], None] = lambda _: None
) -> None:
    """Fetch an http(s) URL whose size is known into a file, from where an earlier go ended.

    What the file has is kept whatever happens: the next call asks for the rest (RFC 9110, 14.2),
    and the caller's checksum tells whether the parts fit.

    Args:
        partial: The file; other processes are kept from it meanwhile, where it can be locked.
        url: One of our own.
        num_bytes: Its size.
        told: Is called with the number of bytes that there are so far.

    Raises:
        CorpusError: It cannot be had whole, is larger, or leads where it must not.
    """
    with writable(partial), opened_to_append(partial) as file:
        lock_file(file)
        num_had = file.seek(0, 2)
        if num_had >= num_bytes:
            return
        headers = {"Range": f"bytes={num_had}-"} if num_had else {}
        request = urllib.request.Request(url, headers=headers)
        with _reachable(url), _answer(url, request) as response:
            num_kept = num_had if _continues(response, num_had) else 0
            length = int(response.headers.get("Content-Length") or num_bytes - num_kept)
            if num_kept + length != num_bytes:  # the page of a network that wants a login, say
                raise CorpusError(
                    f"a download must have {num_bytes:,} bytes, but {redacted(url)} has "
                    f"{num_kept + length:,}"
                )
            file.truncate(num_kept)
            num_had = num_kept
            while chunk := response.read1(_CHUNK_BYTES):
                num_had += len(chunk)
                _check_size(url, num_had, num_bytes)
                with writable(partial):
                    append_whole(file, chunk)
                told(num_had)
        if num_had < num_bytes:
            raise CorpusError(
                f"a download must be whole, but {redacted(url)} ended after {num_had:,} of "
                f"{num_bytes:,} bytes; the same command goes on from there"
            )


def _answer(url: str, request: urllib.request.Request) -> http.client.HTTPResponse:
    """Return the answer to a request, its headers read."""
    opener = _opener(urlsplit(url).hostname or "")
    response: http.client.HTTPResponse = within_seconds(
        SILENT_SECONDS,
        lambda: opener.open(request, timeout=SILENT_SECONDS),
        late=_too_slow(url, SILENT_SECONDS),
    )
    return response


def _continues(response: http.client.HTTPResponse, num_had: int) -> bool:
    """Return whether an answer begins where a file ends; some servers send all from the start."""
    begins = response.headers.get("Content-Range", "").startswith(f"bytes {num_had}-")
    return response.status == http.HTTPStatus.PARTIAL_CONTENT and begins


@contextlib.contextmanager
def writable(path: Path) -> Iterator[None]:
    """Say in one line why a download cannot be written.

    Raises:
        CorpusError: Its file or folder cannot be, or another process writes it.
    """
    try:
        yield
    except CorpusError:
        raise
    except BlockingIOError as error:
        raise CorpusError(f"{path} must be fetched by one process: another one does") from error
    except OSError as error:
        raise CorpusError(f"a download must be written: {path}: {error.strerror}") from error


@contextlib.contextmanager
def _reachable(url: str) -> Iterator[None]:
    """Say in one line why a URL cannot be had."""
    try:
        yield
    except (OSError, ValueError, http.client.HTTPException) as error:
        if isinstance(error, CorpusError):
            raise
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        # Without the number: the first line of a search without a network is read by newcomers.
        reason = (isinstance(cause, OSError) and cause.strerror) or cause
        raise CorpusError(f"a URL must be reachable: {redacted(url)}: {reason}") from error


def download_object(uri: str, *, seconds: float, max_bytes: int = MAX_BYTES) -> bytes:
    """Fetch an object of a store: s3://bucket/book.txt.

    Raises:
        CorpusError: It cannot be had, takes too long, or is too large.
    """

    def fetch() -> bytes:
        file_system, path = open_location(uri)
        with file_system.open_input_stream(path) as stream:
            data: bytes = stream.read(max_bytes + 1)
        return data

    try:
        data = within_seconds(seconds, fetch, late=_too_slow(uri, seconds))
    except CorpusError:
        raise
    except (ConfigError, *STORE_ERRORS) as error:
        # The rule that `open_location` names is a storage's.
        reason = redacted(first_line(error.__cause__ or error))
        raise CorpusError(f"a URL must be reachable: {redacted(uri)}: {reason}") from error
    _check_size(uri, len(data), max_bytes)
    return data


def _too_slow(url: str, seconds: float) -> CorpusError:
    return CorpusError(f"{redacted(url)} must answer within {seconds:g} s")


def _check_size(url: str, num_bytes: int, max_bytes: int) -> None:
    if num_bytes > max_bytes:
        raise CorpusError(
            f"a corpus must have at most {max_bytes:,} bytes, but {redacted(url)} has more"
        )


def _opener(own_host: str) -> urllib.request.OpenerDirector:
    """Return what opens the http(s) URLs of one host, directly or by the user's own proxy."""
    peers: dict[str, str] = {}

    def connect(address: tuple[str, int], *args: Any, **kwargs: Any) -> socket.socket:
        host, port = address
        connected = socket.create_connection((peers.get(host, host), port), *args, **kwargs)
        # What a name means may change between two looks, to lead inwards: it is looked up once.
        peers[host] = connected.getpeername()[0]
        return connected

    def pinned(kind: type[http.client.HTTPConnection]) -> Any:
        def connection(*args: Any, **kwargs: Any) -> http.client.HTTPConnection:
            made = kind(*args, **kwargs)
            made._create_connection = connect  # type: ignore[attr-defined]
            return made

        return connection

    class Plain(urllib.request.HTTPHandler):
        def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(pinned(http.client.HTTPConnection), request)

    class Encrypted(urllib.request.HTTPSHandler):
        def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(pinned(http.client.HTTPSConnection), request)

    class Redirects(urllib.request.HTTPRedirectHandler):
        def redirect_request(
            self, req: urllib.request.Request, fp: Any, *words: Any
        ) -> urllib.request.Request | None:
            *_, newurl = words
            to = urlsplit(newurl)
            if to.scheme not in ("http", "https") or to.hostname != own_host:
                fp.close()
                raise OSError(f"it redirects to {to.scheme}://{to.netloc}; name that URL instead")
            return super().redirect_request(req, fp, *words)

    return urllib.request.build_opener(Plain, Encrypted, Redirects)
