"""Fetches a text from a URL: http(s) or an object store, within a time and a size.

What the user's own URL names may be anywhere, for the user said so. Where a server sends us is
another matter: a redirect is followed to http(s) only, and never to an address that is not
public (loopback, link-local, private), unless it is the very host that the user named.
"""

import http.client
import ipaddress
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from model.errors import ConfigError, CorpusError, first_line
from model.system.filesystem import STORE_ERRORS, open_location

MAX_BYTES = 256 << 20
"""A longer text is refused: a character-level search of it would take weeks."""
OBJECT_SCHEMES = ("s3://", "gs://")
_CHUNK_BYTES = 1 << 16


def download(url: str, *, seconds: float, max_bytes: int = MAX_BYTES) -> bytes:
    """Fetch an http(s) URL.

    Args:
        url: What the user named.
        seconds: The whole must be here by then.
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
        return _within(seconds, url, fetch)
    except (OSError, ValueError, http.client.HTTPException) as error:
        if isinstance(error, CorpusError):
            raise
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        # Without the number: the first line of a search without a network is read by newcomers.
        reason = (isinstance(cause, OSError) and cause.strerror) or cause
        raise CorpusError(f"a URL must be reachable: {url}: {reason}") from error


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
        data = _within(seconds, uri, fetch)
    except CorpusError:
        raise
    except ConfigError as error:
        raise CorpusError(str(error)) from error
    except STORE_ERRORS as error:
        reason = first_line(error)
        raise CorpusError(f"a URL must be reachable: {uri}: {reason}") from error
    _check_size(uri, len(data), max_bytes)
    return data


def _within(seconds: float, url: str, fetch: Callable[[], bytes]) -> bytes:
    """Return what a function fetches in a thread, or raise what it raises.

    The wait is ours: urllib has a limit for each read and none for a whole answer, whose headers
    may drip too, and a store's own retries take minutes.

    Raises:
        CorpusError: It takes too long.
    """
    result: list[bytes | Exception] = []

    def run() -> None:
        try:
            result.append(fetch())
        except Exception as error:  # raised again by the thread that waits
            result.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not result:
        raise _too_slow(url, seconds)
    if isinstance(result[0], Exception):
        raise result[0]
    return result[0]


def _too_slow(url: str, seconds: float) -> CorpusError:
    return CorpusError(f"{url} must answer within {seconds:g} s")


def _check_size(url: str, num_bytes: int, max_bytes: int) -> None:
    if num_bytes > max_bytes:
        raise CorpusError(f"a corpus must have at most {max_bytes:,} bytes, but {url} has more")


def _opener(own_host: str) -> urllib.request.OpenerDirector:
    """Return what opens http(s) URLs of the user's host, and of public addresses."""
    own_peers: list[str] = []

    def connect(address: tuple[str, int], *args: Any, **kwargs: Any) -> socket.socket:
        connected = socket.create_connection(address, *args, **kwargs)
        # The peer is looked at, not the name: what a name means may change between two looks.
        # So the user's host is where its name led at first, and may be anywhere.
        peer = connected.getpeername()[0]
        if not own_peers:
            own_peers.append(peer)
        is_own = address[0].lower() == own_host and peer in own_peers
        if not is_own and not _is_public(peer):
            connected.close()
            raise OSError(f"it redirects to {address[0]}, which is not a public address")
        return connected

    class Plain(http.client.HTTPConnection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._create_connection = connect

    class Encrypted(http.client.HTTPSConnection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._create_connection = connect

    class PlainHandler(urllib.request.HTTPHandler):
        def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(_of(request, Plain, http.client.HTTPConnection), request)

    class EncryptedHandler(urllib.request.HTTPSHandler):
        def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(_of(request, Encrypted, http.client.HTTPSConnection), request)

    class Redirects(urllib.request.HTTPRedirectHandler):
        def redirect_request(
            self,
            req: urllib.request.Request,
            fp: Any,
            code: int,
            msg: str,
            headers: Any,
            newurl: str,
        ) -> urllib.request.Request | None:
            to, reason = urlsplit(newurl), ""
            if to.scheme not in ("http", "https"):
                reason = f"it redirects to a {to.scheme}: URL"
            elif to.hostname != own_host and not _may_be_public(to.hostname or ""):
                reason = f"it redirects to {to.hostname}, which is not a public address"
            if reason:
                fp.close()
                raise OSError(reason)
            return super().redirect_request(req, fp, code, msg, headers, newurl)

    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
        PlainHandler(),
        EncryptedHandler(),
        Redirects(),
    ):
        opener.add_handler(handler)
    return opener


def _of(request: urllib.request.Request, checked: Any, plain: Any) -> Any:
    """Return the class of a request's connection: the user's own proxy may be anywhere."""
    return plain if request.has_proxy() or request._tunnel_host else checked  # type: ignore[attr-defined]


def _may_be_public(host: str) -> bool:
    """Return False for an address that is not public; a name is looked at when it is connected."""
    try:
        return _is_public(host)
    except ValueError:
        return host != "localhost"


def _is_public(address: str) -> bool:
    """Return whether an address is for everybody.

    >>> [_is_public(address) for address in ("8.8.8.8", "169.254.169.254", "::ffff:10.0.0.1")]
    [True, False, False]

    Raises:
        ValueError: It is no address.
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_global)
