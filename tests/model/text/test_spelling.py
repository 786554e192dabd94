"""The spelling model is a probability over strings, and draws what it says."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from model.errors import ConfigError
from model.text.spelling import MARK, ORDER, Speller

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
    ended = sum(2 ** -speller.bits(word) for word in words)
    before = MARK * (ORDER - 1)
    going_on = 0.0
    for word in words[-(2**longest) :]:
        end = speller._probability(before + word, MARK)
        going_on += 2 ** -speller.bits(word) / end * (1 - end)
    assert ended + going_on == pytest.approx(1.0, abs=1e-12)
    assert 0.5 < ended < 1


def test_bits_match_a_count_by_hand() -> None:
    # Learnt from "a" alone, alphabet a and b. Without context: a once, the end once, two kinds.
    speller = Speller(["a"], "ab")
    of_a = of_end = (1 + 2 / 3) / (2 + 2)
    begins_a, begins_end = of_a, of_end
    for _ in range(1, ORDER):  # each longer context was seen once, followed by one kind
        begins_a = (1 + begins_a) / 2  # after marks: a
        begins_end = (0 + begins_end) / 2
        of_end = (1 + of_end) / 2  # after a: the end
    by_hand = -math.log2(begins_a / (1 - begins_end)) - math.log2(of_end)
    assert speller.bits("a") == pytest.approx(by_hand)


def test_no_words_leave_the_uniform_model() -> None:
    speller = Speller([], "abc")
    # The first character is one of three, then the end is one of four symbols.
    assert speller.bits("b") == pytest.approx(math.log2(3) + 2)
    assert speller.bits("bb") == pytest.approx(math.log2(3) + 4)


def test_draws_follow_the_probabilities() -> None:
    speller = Speller(WORDS, "ab")
    uniform = np.random.default_rng(0).random
    num_draws = 4_000
    counts = Counter(speller.draw(uniform) for _ in range(num_draws))
    assert "" not in counts
    for word in WORDS:
        assert counts[word] / num_draws == pytest.approx(2 ** -speller.bits(word), abs=0.03)


def test_learnt_words_cost_less_than_others() -> None:
    speller = Speller(("waistcoat", "watch", "rabbit"), "abcdefghijklmnopqrstuvwxyz")
    assert speller.bits("watch") < speller.bits("wa") < speller.bits("zq") < math.inf


@pytest.mark.parametrize("alphabet", ["", f"ab{MARK}"])
def test_bad_alphabet_is_refused(alphabet: str) -> None:
    with pytest.raises(ConfigError, match="alphabet must have characters"):
        Speller([], alphabet)
