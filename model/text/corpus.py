"""Finds the text to learn: a named corpus, a UTF-8 file, a folder, standard input, or a URL.

A corpus that the user names is never replaced by another one. What Project Gutenberg wraps around
a book is removed (gutenberg.py), and the source counts it; what is compressed is unpacked.
"""

import contextlib
import dataclasses
import functools
import hashlib
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from model.errors import CorpusError, unknown_choice
from model.system.durations import counted
from model.system.files import cache_folder, check_utf8, write_whole
from model.system.filesystem import is_uri
from model.system.secrets import redacted
from model.text.compressed import MAX_BYTES, read_at_most, unpacked
from model.text.download import download, download_object
from model.text.gutenberg import strip_gutenberg
from model.text.packed import Text, packed
from model.text.published import PUBLISHED, published_text
from model.text.reading import Reading

ALICE_URL = "https://www.gutenberg.org/cache/epub/11/pg11.txt"
_END_OF_ALICE = b"\n*** END OF THE PROJECT GUTENBERG EBOOK"
DOWNLOAD_SECONDS = 10.0
URL_SECONDS = 60.0
"""For a text that the user names, and wants."""
STANDARD_INPUT = "-"
AS_USUAL = Reading()
_TOLD_TEXTS = 3
"""Of several texts, so many have their source told: a shell's `books/*.txt` may be thousands."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Corpus:
    """A text and where it came from.

    Attributes:
        name: What the user calls it: a corpus name, a path or a URL.
        location: What finds it again from any folder: a corpus name, an absolute path or a URL; of
            several texts their names, which find nothing.
        source: Where the text was read, and why this one, in words for the reader.
        text: The text, packed if it is a long one beyond ASCII (`str` unpacks it); line ends are
            one line feed, no byte-order mark.
        lengths: Characters of the training part and of the validation passage, where these and
            the test passage were texts of their own; None where a position splits them.
        is_published: Whether the test passage is the part that published figures are of, whole.
        has_own_held_out: Whether a passage is a text of its own, so that the location lacks it.
    """

    name: str
    location: str
    source: str
    text: Text
    lengths: tuple[int, int] | None = None
    is_published: bool = False
    has_own_held_out: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", packed(self.text))

    @property
    def sha256(self) -> str:
        """SHA-256 of the text in UTF-8, as hexadecimal digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def path_or_name(self) -> str | None:
        """Where it will be found again: a corpus name or a path.

        None for a URL: that may hold a password, and would be asked by whoever opens a checkpoint.
        """
        location = self.location
        if self.has_own_held_out:
            return None
        return location if location in CORPORA or Path(location).is_absolute() else None


def resolve_corpus(name: str | Sequence[str] | None, reading: Reading = AS_USUAL) -> Corpus:
    """Find a corpus by name, path or URL; None takes alice if it can be had, else python-docs.

    Args:
        name: What the user calls it; of several, one text follows the other.
        reading: How its bytes are read; those of a named corpus are known.

    Raises:
        CorpusError: No such corpus, or its text is unreachable, empty, binary or not UTF-8.
    """
    if name is None:
        return _default_corpus(reading.keep_front_matter)
    if not name:  # as a path it would be the current folder
        choices = "a corpus, a file, a folder, - or a URL"
        raise CorpusError(f"a text must have a name, got {name!r}; {choices}")
    if not isinstance(name, str):
        return _joined([resolve_corpus(each, reading) for each in name])
    if name in CORPORA:
        return CORPORA[name](reading.keep_front_matter)
    if name == STANDARD_INPUT:
        if sys.stdin is None:
            raise CorpusError("a corpus must be readable: standard input is closed")
        data = read_at_most(name, sys.stdin.buffer)
        return corpus_of(name, "standard input", data, reading)
    return _at_url(name, reading) if is_uri(name) else _at_path(name, reading)


def _at_url(url: str, reading: Reading) -> Corpus:
    known = redacted(url)  # it is written down
    if url.lower().startswith(("http://", "https://")):
        data, source = download(url, seconds=URL_SECONDS), f"downloaded from {known}"
    else:
        data, source = download_object(url, seconds=URL_SECONDS), f"read from {known}"
    return corpus_of(known, source, data, reading)


def _at_path(name: str, reading: Reading) -> Corpus:
    try:
        path = Path(name).expanduser()
        check_utf8(path.absolute())
        if path.is_dir():
            return _folder(name, path, reading)
        if not path.exists():
            choices = unknown_choice("corpus", name, CORPORA)
            others = "a UTF-8 file or folder that exists, - for standard input"
            raise CorpusError(f"{choices}, {others}, or a URL: http(s), s3, gs")
        with path.open("rb") as file:
            data = read_at_most(name, file)
    except OSError as error:
        where = error.filename or name
        raise CorpusError(f"a corpus must be readable: {where}: {error.strerror}") from error
    except RuntimeError as error:  # expanduser: nobody of that name
        raise CorpusError(f"a corpus must be readable: {name}: {error}") from error
    corpus = corpus_of(name, f"file {name}", data, reading)
    return dataclasses.replace(corpus, location=str(path.resolve()))


def _joined(named: Sequence[Corpus]) -> Corpus:
    """Return several texts as one, without copies; it is found nowhere again."""
    different: dict[str, Corpus] = {}
    for corpus in named:
        different.setdefault(str(corpus.text), corpus)
    corpora, copies = list(different.values()), _copies(len(named) - len(different))
    if len(corpora) == 1:
        return dataclasses.replace(corpora[0], source=f"{corpora[0].source}{copies}")
    name = f"{len(corpora)} texts, {corpora[0].name} to {corpora[-1].name}"
    sources = [corpus.source for corpus in corpora[:_TOLD_TEXTS]]
    if len(corpora) > _TOLD_TEXTS:
        sources.append(f"and {len(corpora) - _TOLD_TEXTS} more")
    return Corpus(
        name=name,
        location=name,
        source="; ".join(sources) + copies,
        text="".join(_ended(str(corpus.text)) for corpus in corpora),
    )


def _copies(number: int) -> str:
    """Return how many texts are left out, as they would be held out from themselves."""
    return f", {number} {'copy' if number == 1 else 'copies'} of a text left out" if number else ""


def _ended(text: str) -> str:
    """Return a text whose last line ends, so that another can follow."""
    return text if text.endswith("\n") else f"{text}\n"


def _folder(name: str, path: Path, reading: Reading) -> Corpus:
    """Return the texts of a folder and those in it, without copies, in the order of names.

    Raises:
        CorpusError: There is none.
        OSError: A file cannot be read.
    """
    texts: dict[str, None] = {}
    num_texts = num_skipped = num_bytes = num_books = 0
    found = (each for each in path.rglob("*") if not _is_hidden(each.relative_to(path)))
    for file in sorted(each for each in found if each.is_file()):
        if file.stat().st_size > MAX_BYTES:  # a disk's image, say
            num_skipped += 1
            continue
        data = file.read_bytes()
        try:
            corpus = corpus_of(str(file), "", data, reading)
        except CorpusError:
            num_skipped += 1
            continue
        num_texts += 1
        text = _ended(str(corpus.text))
        if text in texts:
            continue
        num_bytes += len(corpus.text.encode())  # a file may be packed
        if num_bytes > MAX_BYTES:
            raise CorpusError(f"a corpus must have {MAX_BYTES:,} bytes at most, {name} has more")
        texts[text] = None
        num_books += bool(corpus.source)  # it says what was removed
    if not texts:
        raise CorpusError(
            f"a folder must have a text: of {num_skipped} files in {name} none is one"
        )
    skipped = f", {num_skipped} without a readable text skipped" if num_skipped else ""
    books = f", what Gutenberg adds removed from {num_books}" if num_books else ""
    files = counted(len(texts), "file") + _copies(num_texts - len(texts))
    source = f"folder {name}, {files}{skipped}{books}"
    return Corpus(name=name, location=str(path.resolve()), source=source, text="".join(texts))


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _default_corpus(keep_front_matter: bool) -> Corpus:
    try:
        alice = _alice(keep_front_matter)
    except CorpusError as error:
        embedded = _python_docs(keep_front_matter)
        reason = f"{embedded.source}; alice is unavailable: {error}"
        return dataclasses.replace(embedded, source=reason)
    return dataclasses.replace(alice, source=f"{alice.source}; the default when none is named")


def _alice(keep_front_matter: bool) -> Corpus:
    reading = Reading(keep_front_matter=keep_front_matter)
    cache_path = cache_folder() / "alice-pg11.txt"
    # It is not there, is somebody else's, or a part that an earlier version kept.
    with contextlib.suppress(OSError, CorpusError):
        return _whole_alice(f"cached file {cache_path}", cache_path.read_bytes(), reading)
    data = download(ALICE_URL, seconds=DOWNLOAD_SECONDS)
    corpus = _whole_alice(f"downloaded from {ALICE_URL}", data, reading)
    try:
        cache_path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(cache_path, data)
    except OSError:
        return dataclasses.replace(corpus, source=f"{corpus.source}, not cached")
    return corpus


def _whole_alice(source: str, data: bytes, reading: Reading) -> Corpus:
    """Return the book.

    Raises:
        CorpusError: It is another text, or a part of it, from a proxy say.
    """
    corpus = corpus_of("alice", source, data, reading)
    if "\nCHAPTER I" not in f"\n{corpus.text}" or _END_OF_ALICE not in data:
        raise CorpusError(f"alice must be the whole book, got another text, {source}")
    return corpus


def _python_docs(_: bool) -> Corpus:
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    text = "\n".join(topics[topic] for topic in sorted(topics))
    source = "embedded: the prose of this Python's own help topics"
    return Corpus(name="python-docs", location="python-docs", source=source, text=text)


def _published(name: str, _: bool) -> Corpus:
    (train, validation, test), source = published_text(name, cache_folder())
    return Corpus(
        name=name,
        location=name,
        source=source,
        text=train + validation + test,
        lengths=(len(train), len(validation)),
        is_published=True,
    )


CORPORA: dict[str, Callable[[bool], Corpus]] = {
    "alice": _alice,
    "python-docs": _python_docs,
    **{name: functools.partial(_published, name) for name in PUBLISHED},
}
"""The corpora that have a name: what reads each, with its front matter or without."""


def corpus_of(
    name: str,
    source: str,
    data: bytes,
    reading: Reading = AS_USUAL,
    *,
    max_bytes: int = MAX_BYTES,
) -> Corpus:
    """Decode a text and bring it into the form that every corpus has.

    Raises:
        CorpusError: It is blank, no text in that encoding, damaged, or longer than max_bytes.
    """
    text = reading.decoded(name, unpacked(name, data, max_bytes=max_bytes))
    book = strip_gutenberg(text, keep_front_matter=reading.keep_front_matter)
    if not book or book.isspace():
        raise CorpusError(f"a corpus must have more than blanks: {name}")
    if book != text:
        with_front = strip_gutenberg(text, keep_front_matter=True)
        has_front = book != with_front
        num_removed = f"{len(text) - len(book):,} of {len(text):,} characters removed"
        front = ", footer and front matter (--keep-front-matter keeps it)"
        source += f", {num_removed}: Gutenberg's header{front if has_front else ' and footer'}"
    return Corpus(name=name, location=name, source=source, text=book)
