"""The spelling model is a probability over strings, and draws what it says."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from model.errors import ConfigError
from model.text.spelling import MARK, Speller

WORDS = ("ab", "abba", "ba", "b", "babab")


def test_probabilities_of_all_words_sum_to_one() -> None:
    # Of two letters, all words of up to 7 and all that go on after 7: each text is one of them.
    speller = Speller(WORDS, "ab")
    longest = 7
    words = [
        "".join(letters)
        for length in range(1, longest + 1)
        for letters in itertools.product("ab", repeat=length)
    ]
    probabilities = 2 ** -speller.bits(words)
    ended = probabilities.sum()
    last = len(words) - 2**longest
    ends = speller._ngram.probabilities(speller._encode(words[last:]))[longest :: longest + 1]
    going_on = (probabilities[last:] / ends * (1 - ends)).sum()
    assert ended + going_on == pytest.approx(1.0, abs=1e-12)
    assert 0.5 < ended < 1


def test_bits_match_a_count_by_hand() -> None:
    speller = Speller(["a"], "ab")
    # Learnt from "a" alone, alphabet a and b. Each gram was counted once: its discount is 0.5.
    of_a = of_end = (1 - 0.5) / 2 + (0.5 + 0.5) / 2 / 3
    begins_a, begins_end = 0.5 + 0.5 * of_a, 0.5 * of_end  # after the mark
    for _ in range(2):  # after a, and after the mark and a
        of_end = 0.5 + 0.5 * of_end
    by_hand = -math.log2(begins_a / (1 - begins_end)) - math.log2(of_end)
    assert speller.bits(["a"]) == pytest.approx([by_hand])


def test_no_words_leave_the_uniform_model() -> None:
    speller = Speller([], "abc")
    # The first character is one of three, then the end is one of four symbols.
    assert speller.bits(["b", "bb"]) == pytest.approx([math.log2(3) + 2, math.log2(3) + 4])
    assert len(speller.bits([])) == 0


@pytest.mark.slow
def test_draws_follow_the_probabilities() -> None:
    speller = Speller(WORDS, "ab")
    uniform = np.random.default_rng(0).random
    num_draws = 4_000
    counts = Counter(speller.draw(uniform) for _ in range(num_draws))
    assert "" not in counts
    for word, bits in zip(WORDS, speller.bits(WORDS), strict=True):
        assert counts[word] / num_draws == pytest.approx(2**-bits, abs=0.03)


def test_learnt_words_cost_less_than_others() -> None:
    speller = Speller(("waistcoat", "watch", "rabbit"), "abcdefghijklmnopqrstuvwxyz")
    watch, wa, zq = speller.bits(["watch", "wa", "zq"])
    assert watch < wa < zq < math.inf


@pytest.mark.parametrize("alphabet", ["", f"ab{MARK}"])
def test_bad_alphabet_is_refused(alphabet: str) -> None:
    with pytest.raises(ConfigError, match="alphabet must have characters"):
        Speller([], alphabet)
