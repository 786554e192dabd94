"""Tokens: nothing is lost, whatever the text is."""

import random

import pytest

from joined_tokens import join
from model.text.words import is_word_char, tokenize

TEXTS = {
    "empty": "",
    "one space": " ",
    "only punctuation": "...!?''--\n\n ' ",
    "apostrophes": "'Don't,' the cats' keeper said; 'tis 'o' clock'' it''s o’clock",
    "digits": "On 3 May 1865 at 6.30 it cost 1,000 or 1 000 or ½.",
    "spaces": "  two  spaces, a tab\tand\u00a0a hard one, one at the end ",
    "lines": "one\ntwo\r\nthree\u2028four",
    "German": "Straße, Äpfel; Übermut.",
    "Russian": "Алиса сидела, и ей было скучно.",
    "Hindi": "ऐलिस बहुत थक गई थी।",
    "Chinese": "爱丽丝 觉得 很累。",
    "Arabic": "كانت أليس تَشعر بالتعب.",
    "emoji": "a \U0001f407 b\U0001f407c",
    "regular expression": "a-b [c] ^d$ \\w ]e-z[",
    "NUL": "a\0b",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=list(TEXTS))
def test_joined_tokens_are_the_text(text: str) -> None:
    assert join(tokenize(text)) == text


def test_joined_tokens_are_the_text_for_random_strings() -> None:
    chance = random.Random(0)
    for _ in range(3_000):
        text = "".join(chance.choices("ab'’ \n.-ß1ि", k=chance.randrange(12)))
        assert join(tokenize(text)) == text, repr(text)


def test_tokens_are_whole_words_or_one_other_character() -> None:
    for text in TEXTS.values():
        for token in tokenize(text):
            assert is_word_char(token[0]) or len(token) == 1
            assert is_word_char(token[0]) == is_word_char(token[-1])


def test_words_keep_their_apostrophes_marks_and_digits() -> None:
    assert list(tokenize("'I don't,' 'tis o’clock 1865")) == [
        *("'", "I", "don't", ",", "'", " ", "'", "tis", "o’clock", "1865"),
    ]
    assert list(tokenize("ऐलिस थी।")) == ["ऐलिस", "थी", "।"]  # vowel signs are marks


def test_single_spaces_between_words_are_no_tokens() -> None:
    assert list(tokenize("very tired of it")) == ["very", "tired", "of", "it"]
    assert list(tokenize("very  tired")) == ["very", " ", " ", "tired"]
    assert list(tokenize(" very, tired ")) == [" ", "very", ",", " ", "tired", " "]
