"""A file that is no UTF-8 text is named, with what helps; so are a vocabulary's strangers."""

import gzip
import io
import random
import re
import unicodedata
import zipfile
from pathlib import Path

import pytest

from model.errors import ConfigError, CorpusError
from model.text.corpus import resolve_corpus
from model.text.reading import Reading
from model.text.vocabulary import Vocabulary

TEXT = "It is six o'clock, said the Hare.\n" * 40
FRENCH = "Élodie a trouvé la clé près du café.\n" * 40
RUSSIAN = "Мама мыла раму, а папа читал.\n" * 40


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("book.txt", TEXT)
    return buffer.getvalue()


def with_a_nul() -> bytes:
    return TEXT[:340].encode() + b"\0" + TEXT[340:].encode()


CASES = [
    (TEXT.encode("utf-16"), "is UTF-16", "iconv -f UTF-16 -t UTF-8"),
    (RUSSIAN.encode("utf-16"), "is UTF-16", "iconv -f UTF-16 -t UTF-8"),
    (TEXT.encode("utf-16-le"), "is UTF-16LE", "iconv -f UTF-16LE -t UTF-8"),
    (FRENCH.encode("utf-16-be"), "is UTF-16BE", "iconv -f UTF-16BE -t UTF-8"),
    (TEXT.encode("utf-32"), "is UTF-32", "iconv -f UTF-32 -t UTF-8"),
    (zipped(), "is a zip archive", "unpack it"),
    (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "is a PDF", "pdftotext"),
    (b"\x89PNG\r\n\x1a\n\0\0", "is a PNG picture", "name a text"),
    (random.Random(0).randbytes(2_000), "is binary", "name a text"),
    (with_a_nul(), "has 1 NUL character, the first at offset 340 in line 11", r"tr -d '\000'"),
    (FRENCH.encode() + b"\0\0", "has 2 NUL characters", r"tr -d '\000'"),
    (FRENCH.encode("cp1252"), "byte 0xc9 at offset 0: 'É' in WINDOWS-1252", "-f WINDOWS-1252"),
    (
        ("x€ “a cat”, he said\n" * 9).encode("cp1252"),
        "0x80 at offset 1: '€' in WIN",
        "-f WINDOWS-1252",
    ),
    (RUSSIAN.encode("koi8-r"), "an older encoding of its language", "iconv -f ENCODING"),
    ("吾輩は猫である。".encode("shift-jis"), "an older encoding", "iconv -f ENCODING"),
    (FRENCH.encode() + b"caf\xe9 noir", "UTF-8 but for 1 of 1,", "iconv -c"),
    (RUSSIAN.encode()[:32], "ends within a character, as if cut off", "get it whole"),
]


@pytest.mark.parametrize(("data", "what", "remedy"), CASES, ids=[what for _, what, _ in CASES])
def test_what_is_no_text_is_named_with_what_helps(data: bytes, what: str, remedy: str) -> None:
    Path("book.txt").write_bytes(data)
    with pytest.raises(CorpusError, match=r"must be a UTF-8 text, but book\.txt ") as caught:
        resolve_corpus("book.txt")
    said = str(caught.value)
    assert what in said and remedy in said and "\n" not in said and said.isprintable()


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (TEXT.encode("utf-16"), TEXT),
        (FRENCH.encode("utf-16-be"), FRENCH),
        (TEXT.encode("utf-32"), TEXT),
        (FRENCH.encode("cp1252"), FRENCH),
    ],
)
def test_encoding_that_is_named_reads_the_text(data: bytes, text: str) -> None:
    Path("book.txt").write_bytes(data)
    with pytest.raises(CorpusError) as caught:
        resolve_corpus("book.txt")
    (encoding,) = re.findall(r"read it with --encoding ([\w-]+),", str(caught.value))
    assert resolve_corpus("book.txt", Reading(encoding=encoding)).text == text


def test_encoding_of_all_files_of_a_folder_and_of_what_is_compressed() -> None:
    Path("books").mkdir()
    Path("books/one.txt").write_bytes(RUSSIAN.encode("koi8-r"))
    Path("books/two.txt.gz").write_bytes(gzip.compress(RUSSIAN.upper().encode("koi8-r")))
    read = resolve_corpus("books", Reading(encoding="koi8-r")).text
    assert read.replace("\n", "") == (RUSSIAN + RUSSIAN.upper()).replace("\n", "")


@pytest.mark.parametrize("encoding", ["nothing", "base64", "rot13", "", "a\0b"])
def test_what_is_no_encoding_is_refused(encoding: str) -> None:
    with pytest.raises(ConfigError, match="must be one of Python's text encodings, such as"):
        Reading(encoding=encoding)


def test_text_of_another_encoding_is_refused() -> None:
    Path("book.txt").write_bytes("naïve\n".encode("latin-1"))
    with pytest.raises(CorpusError, match=r"text in utf-7, but book\.txt is none: .* offset 2"):
        resolve_corpus("book.txt", Reading(encoding="utf-7"))
    Path("book.txt").write_bytes(b"a\x81b")
    with pytest.raises(CorpusError, match=r"text in cp1252, but book\.txt is none"):
        resolve_corpus("book.txt", Reading(encoding="cp1252"))


def test_texts_are_no_binaries() -> None:
    for text in (TEXT, FRENCH, RUSSIAN, "PK is not a zip\n", "BM\x1b[0m", "\N{BYTE ORDER MARK}a"):
        Path("book.txt").write_text(text, encoding="utf-8")
        assert resolve_corpus("book.txt").text == text.removeprefix("\N{BYTE ORDER MARK}")


def said_of(text: str, learnt: str) -> str:
    with pytest.raises(ConfigError) as caught:
        Vocabulary.of(learnt).encode_prime(text)
    return str(caught.value)


def test_strangers_come_first_and_the_rest_is_counted() -> None:
    han = "".join(map(chr, range(0x4E00, 0x4E00 + 2_357)))
    said = said_of("一二x", han)
    assert said == "'x' (U+0078) is not among the 2,357 characters of the vocabulary"
    said = said_of("abcdefghijklmnop", han)
    assert said.startswith("'a' (U+0061), 'b' (U+0062), ") and "6 more are not among" in said


@pytest.mark.parametrize(
    ("text", "learnt", "hint"),
    [
        (unicodedata.normalize("NFD", "café"), "café", "Unicode form NFC"),
        ("café", unicodedata.normalize("NFD", "café"), "Unicode form NFD"),
        (unicodedata.normalize("NFD", "각하"), "각하", "Unicode form NFC"),
        ("don't", "don\N{RIGHT SINGLE QUOTATION MARK}t", "has learnt '’' instead"),
        ("\N{LEFT DOUBLE QUOTATION MARK}no", '"no', "has learnt '\"' instead"),
        ("a-b", "a\N{EM DASH}b", "has learnt '—' instead"),
    ],
)
def test_strangers_that_are_near_get_a_hint(text: str, learnt: str, hint: str) -> None:
    assert hint in said_of(text, learnt)


def test_no_hint_where_none_helps() -> None:
    assert said_of("q", "abc") == "'q' (U+0071) is not among the 3 characters of the vocabulary"
