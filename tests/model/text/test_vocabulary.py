import numpy as np
import pytest

from model.errors import ConfigError
from model.text import vocabulary as vocabulary_module
from model.text.cleaning import CLEANINGS, clean, cleaned_chars
from model.text.vocabulary import Vocabulary, char_counts


def test_decode_of_encode_is_identity(tiny_text: str) -> None:
    text = tiny_text + "日本 \U0001f407"
    vocabulary = Vocabulary.of(text)
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert vocabulary.encode(text).max() == len(vocabulary) - 1


def test_symbols_are_numbered_in_order() -> None:
    assert np.array_equal(Vocabulary.of("cab").encode("abc"), [0, 1, 2])


@pytest.mark.parametrize("chunk_chars", [1, 7, 1 << 20])
@pytest.mark.parametrize("cleaning", CLEANINGS)
def test_text_is_cleaned_as_it_is_encoded(
    cleaning: str, chunk_chars: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vocabulary_module, "_CHUNK_CHARS", chunk_chars)
    text = 20 * "Oh, dear! İstanbul 日本… \U0001f407\n42"
    expected = Vocabulary.of(clean(text, cleaning))
    found = expected.encode(text, cleaned_chars(set(text), cleaning))
    assert np.array_equal(found, expected.encode(clean(text, cleaning)))
    assert found.flags.owndata and found.dtype == np.uint8
    assert char_counts(text) == {char: text.count(char) for char in text}


def test_nothing_is_left_of_a_text_that_is_dropped() -> None:
    assert len(Vocabulary.of("a").encode("12", {"1": "", "2": ""})) == 0
    with pytest.raises(ConfigError, match="'A'"):
        Vocabulary.of("a").encode("1A", {"1": "", "A": "A"})


def test_unknown_character_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'x' .*, 'z' .* not among the 3 characters"):
        Vocabulary.of("abc").encode("azbx")


@pytest.mark.parametrize("symbols", [(), ("b", "a"), ("a", "a"), ("ab",)])
def test_symbols_must_be_a_sorted_set(symbols: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError):
        Vocabulary(symbols)
