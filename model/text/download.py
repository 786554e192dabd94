"""Fetches a text from a URL: http(s) or an object store, within a time and a size.

The user's own URL may name any host. A redirect is followed only to http(s) on that host, at the
address that its name had at first, so no server leads us to another machine.
"""

import http.client
import socket
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from model.errors import ConfigError, CorpusError, first_line
from model.system.filesystem import STORE_ERRORS, open_location, within_seconds
from model.system.secrets import redacted

MAX_BYTES = 256 << 20
"""A longer text is refused: a character-level search of it would take weeks."""
OBJECT_SCHEMES = ("s3://", "gs://")
_CHUNK_BYTES = 1 << 16


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
            # read1 gives what has come; read waits for a whole chunk, however slowly it drips.
            while chunk := response.read1(_CHUNK_BYTES):
                chunks.append(chunk)
                num_bytes += len(chunk)
                _check_size(url, num_bytes, max_bytes)
                if time.monotonic() > deadline:
                    raise _too_slow(url, seconds)
        return b"".join(chunks)

    try:
        return within_seconds(seconds, fetch, late=_too_slow(url, seconds))
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
    except ConfigError as error:
        raise CorpusError(str(error)) from error
    except STORE_ERRORS as error:
        reason = first_line(error)
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

    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
        Plain(),
        Encrypted(),
        Redirects(),
    ):
        opener.add_handler(handler)
    return opener
