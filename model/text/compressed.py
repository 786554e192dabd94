"""Unpacks gzip, bzip2, xz and zstd; which it is, a file's first bytes tell, not its name.

Of an archive, zip or tar, only members of known names are read, into memory.
"""

import bz2
import gzip
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import IO, Any

from model.errors import CorpusError, first_line

MAX_BYTES = 2 << 30
"""Of an unpacked text: a small file can hold any number of zeros."""


def _open_zstd(packed: IO[bytes]) -> Any:
    import pyarrow as pa  # Python's own comes with 3.14

    return pa.input_stream(packed, compression="zstd")


_FORMATS: tuple[tuple[bytes, str, Callable[[IO[bytes]], Any]], ...] = (
    (rb"\x1f\x8b", "gzip", gzip.open),
    (rb"BZh[1-9](1AY&SY|\x17rE8P\x90)", "bzip2", bz2.open),  # a text may begin with "BZh"
    (rb"\xfd7zXZ\0", "xz", lzma.open),
    (rb"\x28\xb5\x2f\xfd", "zstd", _open_zstd),
)
"""What a file begins with, as a pattern, its name and what opens it."""
_DAMAGED = (
    *(OSError, EOFError, KeyError, zlib.error, lzma.LZMAError),
    *(tarfile.TarError, zipfile.BadZipFile),
)
"""What their readers raise; KeyError is of a member that an archive lacks."""
_READ_BYTES = 1 << 20


def unpacked(name: str, data: bytes, *, max_bytes: int = MAX_BYTES) -> bytes:
    """Return what a file holds if it is compressed, else the file.

    Args:
        name: What the user calls it.
        data: Its bytes.
        max_bytes: The most that it may hold.

    Raises:
        CorpusError: It is damaged, or holds more.
    """
    for magic, kind, opened in _FORMATS:
        if re.match(magic, data):
            try:
                with opened(io.BytesIO(data)) as file:
                    return read_at_most(name, file, max_bytes)
            except _DAMAGED as error:
                raise CorpusError(
                    f"a corpus must be readable: {name} is damaged {kind}: {error}"
                ) from error
    if len(data) > max_bytes:
        raise _too_long(name, max_bytes)
    return data


def members(name: str, data: bytes, wanted: Sequence[str], *, max_bytes: int) -> list[bytes]:
    """Return some files of a zip archive, or of a tar archive, compressed or not.

    Args:
        name: What the user calls it.
        data: Its bytes.
        wanted: The names of the files in it.
        max_bytes: The most that one of them may hold.

    Raises:
        CorpusError: It is damaged, lacks one, or one is larger or no regular file.
    """
    try:
        if data.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                return [_member(name, each, archive.open(each), max_bytes) for each in wanted]
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            # extractfile follows links within the archive, and gives None for what is no file.
            return [_member(name, each, archive.extractfile(each), max_bytes) for each in wanted]
    except _DAMAGED as error:
        raise CorpusError(
            f"a corpus must be readable: {name} is a damaged archive: {first_line(error)}"
        ) from error


def _member(name: str, member: str, file: IO[bytes] | None, max_bytes: int) -> bytes:
    if file is None:
        raise CorpusError(f"a corpus must be readable: {member} in {name} is no file")
    with file:
        return read_at_most(f"{member} in {name}", file, max_bytes)


def read_at_most(name: str, file: IO[bytes], max_bytes: int = MAX_BYTES) -> bytes:
    """Return what a file holds, read block by block: asked for the most, Python reserves as much.

    Args:
        name: What the user calls it.
        file: The file; /dev/zero has no end.
        max_bytes: The most that it may hold.

    Raises:
        CorpusError: It holds more.
    """
    blocks, num_bytes = [], 0
    while block := file.read(_READ_BYTES):
        num_bytes += len(block)
        if num_bytes > max_bytes:
            raise _too_long(name, max_bytes)
        blocks.append(block)
    return b"".join(blocks)


def _too_long(name: str, max_bytes: int) -> CorpusError:
    return CorpusError(f"a corpus must have {max_bytes:,} bytes at most, {name} holds more")
