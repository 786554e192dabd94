"""Finds the text to learn: a named corpus, a UTF-8 file, or an http(s), s3 or gs URL.

A corpus that the user names is never replaced by another one. What Project Gutenberg wraps around
a book is removed: header, footer and front matter.
"""

import dataclasses
import hashlib
import importlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from model.errors import CorpusError, unknown_choice
from model.system.files import write_whole
from model.system.secrets import redacted
from model.text.download import OBJECT_SCHEMES, download, download_object

ALICE_URL = "https://www.gutenberg.org/cache/epub/11/pg11.txt"
DOWNLOAD_SECONDS = 10.0
URL_SECONDS = 60.0
"""For a text that the user names, and wants."""
_START = re.compile(r"^\*\*\* ?START OF TH(?:E|IS) PROJECT GUTENBERG EBOOK.*$", re.MULTILINE)
_END = re.compile(
    r"^(?:\*\*\* ?END OF TH(?:E|IS) PROJECT GUTENBERG EBOOK|End of (?:the )?Project Gutenberg)",
    re.MULTILINE,
)
_FIRST_CHAPTER = re.compile(r"^CHAPTER I\b", re.MULTILINE)
_SECOND_CHAPTER = re.compile(r"^\s*CHAPTER II\b", re.MULTILINE)
# A heading in the table of contents is followed by the next heading within a line or two.
_MIN_CHAPTER_CHARS = 1_000


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Corpus:
    """A text and where it came from.

    Attributes:
        name: What the user calls it: a corpus name, a path or a URL.
        location: What finds it again from any folder: a corpus name, an absolute path or a URL.
        source: Where the text was read, and why this one, in words for the reader.
        text: The text; line ends are one line feed, no byte-order mark.
    """

    name: str
    location: str
    source: str
    text: str

    @property
    def sha256(self) -> str:
        """SHA-256 of the text in UTF-8, as hexadecimal digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def resolve_corpus(name: str | None) -> Corpus:
    """Find a corpus by name, path or URL; None takes alice if it can be had, else python-docs.

    Raises:
        CorpusError: No such corpus, or its text is unreachable, empty, binary or not UTF-8.
    """
    if name is None:
        return _default_corpus()
    if name in CORPORA:
        return CORPORA[name]()
    if name.startswith(("http://", "https://")):
        data = download(name, seconds=URL_SECONDS)
        known = redacted(name)  # it is written down
        return decoded(known, f"downloaded from {known}", data)
    if name.startswith(OBJECT_SCHEMES):
        data = download_object(name, seconds=URL_SECONDS)
        return decoded(name, f"read from {name}", data)
    try:
        path = Path(name).expanduser()
        if path.is_dir():
            raise CorpusError(f"a corpus must be a file, got the folder {name!r}")
        if not path.exists():
            choices = unknown_choice("corpus", name, CORPORA)
            raise CorpusError(f"{choices}, a UTF-8 file that exists, or an http(s), s3 or gs URL")
        data = path.read_bytes()
    except OSError as error:
        raise CorpusError(f"a corpus must be readable: {name}: {error.strerror}") from error
    except RuntimeError as error:  # expanduser: nobody of that name
        raise CorpusError(f"a corpus must be readable: {name}: {error}") from error
    corpus = decoded(name, f"file {name}", data)
    return dataclasses.replace(corpus, location=str(path.resolve()))


def _default_corpus() -> Corpus:
    try:
        alice = _alice()
    except CorpusError as error:
        embedded = _python_docs()
        reason = f"{embedded.source}; alice is unavailable: {error}"
        return dataclasses.replace(embedded, source=reason)
    return dataclasses.replace(alice, source=f"{alice.source}; the default when none is named")


def _alice() -> Corpus:
    cache_path = cache_folder() / "alice-pg11.txt"
    if cache_path.exists():
        return decoded("alice", f"cached file {cache_path}", cache_path.read_bytes())
    data = download(ALICE_URL, seconds=DOWNLOAD_SECONDS)
    corpus = decoded("alice", f"downloaded from {ALICE_URL}", data)
    if not corpus.text.startswith("CHAPTER I"):
        raise CorpusError(f"{ALICE_URL} did not answer with the book")
    try:
        cache_path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(cache_path, data)
    except OSError:
        return dataclasses.replace(corpus, source=f"{corpus.source}, not cached")
    return corpus


def _python_docs() -> Corpus:
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    text = "\n".join(topics[topic] for topic in sorted(topics))
    source = "embedded: the prose of this Python's own help topics"
    return Corpus(name="python-docs", location="python-docs", source=source, text=text)


CORPORA: dict[str, Callable[[], Corpus]] = {
    "alice": _alice,
    "python-docs": _python_docs,
}
"""The corpora that have a name."""


def cache_folder() -> Path:
    """Return the folder of what this program keeps for the user from run to run."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "char-lstm-tune"


def decoded(name: str, source: str, data: bytes) -> Corpus:
    """Decode a text and bring it into the form that every corpus has.

    Raises:
        CorpusError: It is empty, binary or not UTF-8.
    """
    if b"\0" in data:
        raise CorpusError(f"a corpus must be a UTF-8 text, but {name} is binary")
    try:
        text = data.decode().removeprefix("\ufeff")  # utf-8-sig counts offsets after the mark
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"a corpus must be UTF-8, but {name} has byte 0x{data[error.start]:02x} "
            f"at offset {error.start:,}"
        ) from error
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    book = strip_gutenberg(text)
    if book != text:
        source += ", Gutenberg's header, footer and front matter removed"
    if not book.strip():
        raise CorpusError(f"a corpus must not be empty: {name}")
    return Corpus(name=name, location=name, source=source, text=book)


def strip_gutenberg(text: str) -> str:
    """Return the book alone; a text without Gutenberg's two markers comes back as it is.

    Front matter (title, author, contents) is what stands before the first chapter's heading,
    "CHAPTER I" at a line's start; a book without that heading keeps its front matter.
    """
    start = _START.search(text)
    end = _END.search(text, start.end()) if start else None
    if start is None or end is None:
        return text
    book = text[start.end() : end.start()].strip()
    for heading in _FIRST_CHAPTER.finditer(book):
        following = _SECOND_CHAPTER.search(book, heading.end())
        if following is None or following.start() - heading.end() > _MIN_CHAPTER_CHARS:
            return book[heading.start() :]
    return book
