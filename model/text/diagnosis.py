"""Says what a file is that is no UTF-8 text, and which characters a vocabulary lacks, and why."""

import codecs
import contextlib
import unicodedata
from collections.abc import Collection

from model.errors import CorpusError
from model.system.durations import counted

_MARKS = (
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
"""Byte-order marks; that of UTF-32 begins with one of UTF-16's."""
_KINDS = (
    (b"PK\x03\x04", "a zip archive (EPUB and DOCX are such)", "unpack it, or save it as text"),
    (b"%PDF-", "a PDF", "take its text out: pdftotext"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it: 7z x"),
    (b"Rar!", "a RAR archive", "unpack it: unrar x"),
    (b"\xd0\xcf\x11\xe0", "an old Office document", "save it as text, in UTF-8"),
    (b"\x89PNG", "a PNG picture", "name a text"),
    (b"\xff\xd8\xff", "a JPEG picture", "name a text"),
    (b"PAR1", "a Parquet table", "write the column with the text to a file"),
    (b"SQLite format 3\0", "an SQLite database", "write the text in it to a file"),
)
"""Magic bytes; of tar, Word and the like no more is said than of other binary files."""
_SAMPLED_BYTES = 1 << 16
_MOST_STRAY_NULS = 0.01
"""A text with a larger share of NUL bytes is binary."""
_MOST_ACCENTED = 0.3
"""Share of bytes above 127 in a text of Latin letters: more of them are another script's."""
_CONTROLS_OF_TEXT = set("\0\t\n\v\f\r\x1a\x1b")
"""Ctrl-Z ends some old texts, Esc colours logs."""
_SHOWN = 10
_CURLY = {"'": "‘’", '"': "“”", "-": "‐‑–—", " ": "\N{NO-BREAK SPACE}"}


def decoded(name: str, data: bytes) -> str:
    """Decode a text in UTF-8, without its byte-order mark; line ends are one line feed.

    Args:
        name: What the user calls it.
        data: Its bytes.

    Raises:
        CorpusError: It is something else; the error says what, and what helps.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            raise _unfit(name, f"is {encoding}", _converted_from(encoding))
    for magic, kind, remedy in _KINDS:
        if data.startswith(magic):
            raise _unfit(name, f"is {kind}", remedy)
    if b"\0" in data:
        raise _with_nul(name, data)
    try:
        text = data.decode()  # with the mark: utf-8-sig counts offsets after it
    except UnicodeDecodeError as error:
        raise _other_encoding(name, data, error) from error
    if "\r" not in text and not text.startswith("\ufeff"):
        return text
    del text  # changed as bytes: a text may take four times as much, and its copy again
    data = data.removeprefix(codecs.BOM_UTF8)
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").decode()


def _unfit(name: str, what: str, remedy: str) -> CorpusError:
    return CorpusError(f"a corpus must be a UTF-8 text, but {name} {what}; {remedy}")


def _converted_from(encoding: str) -> str:
    return f"read it with --encoding {encoding}, or convert it: iconv -f {encoding} -t UTF-8"


def _with_nul(name: str, data: bytes) -> CorpusError:
    """Return the error of a file with NUL bytes: UTF-16 without a mark, stray ones, or binary."""
    sample = data[: _SAMPLED_BYTES // 2 * 2]
    for first, encoding in ((0, "UTF-16BE"), (1, "UTF-16LE")):
        zeros, others = sample[first::2].count(0), sample[1 - first :: 2].count(0)
        if zeros > len(sample) / 4 and others == 0:  # half of the pairs are ASCII
            return _unfit(name, f"is {encoding}", _converted_from(encoding))
    num_nuls = data.count(0)
    is_text = False
    if num_nuls <= max(1, _MOST_STRAY_NULS * len(data)):
        with contextlib.suppress(UnicodeDecodeError):
            is_text = not any(char < " " for char in set(data.decode()) - _CONTROLS_OF_TEXT)
    if not is_text:
        return _unfit(name, "is binary", "name a text")
    offset = data.index(0)
    line = data.count(b"\n", 0, offset) + 1
    return _unfit(
        name,
        f"has {counted(num_nuls, 'NUL character')}, the first at offset {offset:,} "
        f"in line {line:,}",
        r"take them out: tr -d '\000'",
    )


def _other_encoding(name: str, data: bytes, error: UnicodeDecodeError) -> CorpusError:
    at = f"has byte 0x{data[error.start]:02x} at offset {error.start:,}"
    kept = data.decode(errors="ignore")
    num_dropped = len(data) - len(kept.encode())
    if sum(char > "\x7f" for char in kept) > num_dropped:
        if error.reason == "unexpected end of data":
            what = f"{at}: it ends within a character, as if cut off"
            return _unfit(name, what, "get it whole")
        what = f"{at}: UTF-8 but for {num_dropped:,} of {len(data):,} bytes"
        return _unfit(name, what, "leave them out: iconv -c -f UTF-8 -t UTF-8")
    high = sum(byte > 127 for byte in data[:_SAMPLED_BYTES])
    if high < _MOST_ACCENTED * min(len(data), _SAMPLED_BYTES):
        for codec, encoding in (("cp1252", "WINDOWS-1252"), ("latin-1", "ISO-8859-1")):
            try:
                char = data.decode(codec)[error.start]
            except UnicodeDecodeError:
                continue
            if char.isprintable():
                what = f"{at}: {char!r} in {encoding}, which it may be"
                return _unfit(name, what, _converted_from(encoding))
    remedy = "name its encoding with --encoding, or convert it: iconv -f ENCODING -t UTF-8"
    return _unfit(name, f"{at}, as in an older encoding of its language", remedy)


def described_strangers(text: str, known: Collection[str]) -> str:
    """Return which characters of a text are not known, and what may help.

    Args:
        text: The text, with at least one unknown character.
        known: The characters of a vocabulary.
    """
    known = set(known)
    strangers = sorted(set(text) - known)
    names = [f"{char!r} (U+{ord(char):04X})" for char in strangers[:_SHOWN]]
    if len(strangers) > _SHOWN:
        names.append(f"{len(strangers) - _SHOWN:,} more")
    isare = "is" if len(strangers) == 1 else "are"
    said = f"{', '.join(names)} {isare} not among the {len(known):,} characters of the vocabulary"
    return "; ".join([said, *_hints(text, strangers, known)])


def _hints(text: str, strangers: Collection[str], known: Collection[str]) -> list[str]:
    hints = []
    for form in ("NFC", "NFD"):
        normal = set(unicodedata.normalize(form, text))
        if len(normal - set(known)) < len(strangers):
            hints.append(f"the text it has learnt is in the Unicode form {form}: write it so")
            break
    for straight, curly in _CURLY.items():
        group = straight + curly
        learnt = [char for char in group if char in known]
        if learnt and any(char in group for char in strangers):
            hints.append(f"it has learnt {' '.join(map(repr, learnt))} instead")
    return hints
