"""Small corpora in the published ones' formats, from a server on this machine."""

import contextlib
import dataclasses
import gzip
import hashlib
import http.server
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from model.text import corpus as corpus_module
from model.text import published as published_module
from model.text.published import PUBLISHED, PublishedCorpus

SENTENCES = (
    "First Citizen:\nBefore we proceed any further, hear me speak. Why not, na\u00efve man?\n"
)


class RangeHandler(http.server.BaseHTTPRequestHandler):
    """Serves files by path, from the requested byte on; may stop after some bytes."""

    files: Mapping[str, bytes]
    asked: list[str | None]
    ends_after: int | None = None
    knows_ranges = True

    def do_GET(self) -> None:
        data = self.files.get(self.path)
        wanted = self.headers.get("Range")
        type(self).asked.append(wanted)
        if data is None:
            self.send_error(404)
            return
        start = 0
        if wanted is not None and self.knows_ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        end = None if self.ends_after is None else start + self.ends_after
        self.wfile.write(data[start:end])

    def log_message(self, *args: object) -> None: ...


@contextlib.contextmanager
def served(files: Mapping[str, bytes]) -> Iterator[tuple[str, type[RangeHandler]]]:
    """Yield the address of a server of some files, and its handler, which can be changed."""

    class Handler(RangeHandler):
        asked: list[str | None] = []  # noqa: RUF012

    Handler.files = files
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", Handler
        finally:
            server.shutdown()
            thread.join()


def zipped(name: str, data: bytes) -> bytes:
    """Return a zip archive of a file, the same bytes at any time."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def tarred(files: Mapping[str, bytes]) -> bytes:
    """Return a gzipped tar archive of some files, the same bytes at any time."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as file:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return gzip.compress(archive.getvalue(), mtime=0)


def spelled(text: str) -> bytes:
    """Return a text in the format of ptb.char.*.txt."""
    lines = (f" {' '.join(line.replace(' ', '_'))} \n" for line in text.splitlines())
    return "".join(lines).encode()


def small_file(name: str, text: str) -> bytes:
    """Return a file in a published corpus's format; for PTB, each part has the text."""
    if name == "ptb-char":
        return tarred({member: spelled(text) for member in PUBLISHED[name].members})
    data = text.encode()
    return data if name == "tiny-shakespeare" else zipped(name, data)


def small_corpus(name: str, text: str, url: str) -> PublishedCorpus:
    """Return a published corpus with another text, split in the same order: 8 tenths, 1 and 1."""
    data, known, whole = small_file(name, text), PUBLISHED[name], len(text.encode())
    held_out = whole // 10
    end = whole - held_out
    train, validation = range(end - held_out), range(end - held_out, end)
    if known.part_bytes is not None and known.part_bytes[1].start == 0:
        validation, train = range(held_out), range(held_out, end)
    return dataclasses.replace(
        known,
        urls=(url,),
        num_bytes=len(data),
        checksum=("sha256", hashlib.sha256(data).hexdigest()),
        part_bytes=None if known.part_bytes is None else (train, validation, range(end, whole)),
    )


@contextlib.contextmanager
def small_corpora(
    patch: pytest.MonkeyPatch, text: str = SENTENCES * 40
) -> Iterator[type[RangeHandler]]:
    """Replace the published corpora with small ones; yields their server's handler."""
    paths = {name: f"/{Path(each.urls[0]).name}" for name, each in PUBLISHED.items()}
    files = {path: small_file(name, text) for name, path in paths.items()}
    with served(files) as (address, handler):
        small = {name: small_corpus(name, text, address + path) for name, path in paths.items()}
        patch.setattr(published_module, "PUBLISHED", small)
        assert corpus_module.CORPORA.keys() >= small.keys()
        yield handler
