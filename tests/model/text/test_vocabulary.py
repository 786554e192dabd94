import numpy as np
import pytest

from model.errors import ConfigError
from model.text.vocabulary import Vocabulary


def test_decode_of_encode_is_identity(tiny_text: str) -> None:
    text = tiny_text + "日本 \U0001f407"
    vocabulary = Vocabulary.of(text)
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert vocabulary.encode(text).max() == len(vocabulary) - 1


def test_symbols_are_numbered_in_order() -> None:
    assert np.array_equal(Vocabulary.of("cab").encode("abc"), [0, 1, 2])


def test_unknown_character_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'x' .*, 'z' .* not among the 3 characters"):
        Vocabulary.of("abc").encode("azbx")


@pytest.mark.parametrize("symbols", [(), ("b", "a"), ("a", "a"), ("ab",)])
def test_symbols_must_be_a_sorted_set(symbols: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError):
        Vocabulary(symbols)
