"""Unpacks gzip, bzip2, xz and zstd; which it is, a file's first bytes tell, not its name."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from typing import IO, Any

from model.errors import CorpusError

MAX_BYTES = 2 << 30
"""Of an unpacked text: a small file can hold any number of zeros."""


def _open_zstd(packed: IO[bytes]) -> Any:
    import pyarrow as pa  # Python's own comes with 3.14

    return pa.input_stream(packed, compression="zstd")


_FORMATS: tuple[tuple[bytes, str, Callable[[IO[bytes]], Any]], ...] = (
    (b"\x1f\x8b", "gzip", gzip.open),
    (b"BZh", "bzip2", bz2.open),
    (b"\xfd7zXZ\0", "xz", lzma.open),
    (b"\x28\xb5\x2f\xfd", "zstd", _open_zstd),
)


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
        if data.startswith(magic):
            try:
                with opened(io.BytesIO(data)) as file:
                    text: bytes = file.read(max_bytes + 1)
            except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
                raise CorpusError(
                    f"a corpus must be readable: {name} is damaged {kind}: {error}"
                ) from error
            if len(text) > max_bytes:
                raise CorpusError(
                    f"a corpus must have {max_bytes:,} bytes at most, {name} holds more"
                )
            return text
    return data
