"""Reads the text of a run again: by its hash, for where a run says it lies is a stranger's word.

A copy beside the run is looked at first, then this machine's cache, which has the texts that
cannot be read twice: of URLs, objects, folders and pipes. Of what a run names only a corpus of our
own or a regular file is opened, up to a size, and no address is asked: `--corpus` is the user's
word.
"""

import contextlib
import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

from model.errors import CorpusError
from model.system.files import cache_folder, read_regular, write_whole
from model.system.filesystem import is_uri
from model.text.compressed import MAX_BYTES
from model.text.corpus import AS_USUAL, CORPORA, Corpus, corpus_of
from model.text.reading import Reading

_BYTES_PER_CHAR = 8
"""A character of UTF-8 has 4 bytes at most; the rest is for what is cut off around a book."""
_CUT_OFF_BYTES = 1 << 20


def remember(corpus: Corpus) -> None:
    """Keep a text in the cache if its location does not give it again; without room, it is not."""
    location = None if corpus.lengths else corpus.path_or_name  # a validation passage may be cut
    if location is not None and (location in CORPORA or Path(location).is_file()):
        return
    with contextlib.suppress(OSError):
        path = _cached(corpus.sha256)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, corpus.text.encode())


def known_text(
    location: str,
    *,
    sha256: str,
    num_chars: int,
    copies: Sequence[Path] = (),
    reading: Reading = AS_USUAL,
) -> Corpus:
    """Find a text that a run was made with.

    Args:
        location: Where the run says that it lies.
        sha256: What it is.
        num_chars: Its length, by the run.
        copies: Files that may have it as it was read.
        reading: As in `resolve_corpus`.

    Raises:
        CorpusError: It cannot be had without asking a server, has changed, or has another length.
    """
    corpus = _found(location, sha256, num_chars, copies, reading)
    if len(corpus.text) != num_chars:
        raise CorpusError(
            f"a run's text must have the {num_chars:,} characters that the run says, got "
            f"{len(corpus.text):,} in {corpus.source}"
        )
    return corpus


def _found(
    location: str, sha256: str, num_chars: int, copies: Sequence[Path], reading: Reading
) -> Corpus:
    for path in (*copies, _cached(sha256)):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            text = read_regular(path, max_bytes=MAX_BYTES).decode()
            if hashlib.sha256(text.encode()).hexdigest() == sha256:
                return Corpus(name=location, location=location, source=f"file {path}", text=text)
    most = min(MAX_BYTES, _BYTES_PER_CHAR * num_chars + _CUT_OFF_BYTES)
    corpus = text_at(location, max_bytes=most, reading=reading)
    if corpus.sha256 != sha256:
        raise CorpusError(
            f"the text of this run, sha256 {sha256[:12]}, is no longer at {location}, which has "
            f"{corpus.sha256[:12]}: give it with --corpus"
        )
    return corpus


def text_at(location: str, *, max_bytes: int = MAX_BYTES, reading: Reading = AS_USUAL) -> Corpus:
    """Read a text where a file of others says that it lies: a corpus of ours or a regular file.

    Args:
        location: A corpus name or a path.
        max_bytes: The most that a file may have.
        reading: As in `resolve_corpus`.

    Raises:
        CorpusError: It is something else, or not there.
    """
    if location in CORPORA:
        return CORPORA[location](reading.keep_front_matter)
    try:
        if is_uri(location):
            raise ValueError("no server is asked")
        data = read_regular(Path(location), max_bytes=max_bytes)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise CorpusError(f"the text must be given with --corpus: {location}: {reason}") from error
    return dataclasses.replace(
        corpus_of(location, f"file {location}", data, reading, max_bytes=max_bytes),
        location=str(Path(location).absolute()),
    )


def _cached(sha256: str) -> Path:
    # What a run says is its hash must not lead out of the folder.
    plain = sha256 if sha256.isalnum() else "none"
    return cache_folder() / "texts" / f"{plain}.txt"
