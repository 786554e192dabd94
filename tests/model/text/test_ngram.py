"""The n-gram, against implementations with dictionaries and counts by hand."""

import collections
import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.text import grams
from model.text.grams import Smoothing
from model.text.ngram import MAX_ORDER, Ngram, choose_order

Gram = tuple[int, ...]
texts = st.lists(st.integers(0, 4), min_size=1, max_size=60)


def kneser_ney(
    train: list[int], context: list[int], symbol: int, *, size: int, order: int
) -> float:
    """Return the probability as Chen & Goodman have it, word by word of the paper."""
    text = (size, *train)
    grams = [
        collections.Counter(
            text[end - length : end] for end in range(max(length, 2), len(text) + 1)
        )
        for length in range(order + 1)
    ]
    counts: list[dict[Gram, int]] = []
    for length in range(order + 1):
        if length == order:
            counts.append(grams[length])
            continue
        before: dict[Gram, set[int]] = {}
        for gram in grams[length + 1]:
            before.setdefault(gram[1:], set()).add(gram[0])
        begins = {gram: count for gram, count in grams[length].items() if gram[:1] == (size,)}
        counts.append({gram: len(symbols) for gram, symbols in before.items()} | begins)
    here = (size, *context)
    probability = 1 / size
    for length in range(1, min(order, len(here) + 1) + 1):
        known = counts[length]
        counts_of_counts = [sum(count == i for count in known.values()) for i in range(5)]
        one, two, three, four = counts_of_counts[1:]
        discounts = [0.0, 0.5, 1.0, 1.5]
        if one and two and three:
            share = one / (one + 2 * two)
            paper = [
                1 - 2 * share * two / one,
                2 - 3 * share * three / two,
                3 - 4 * share * four / three,
            ]
            discounts = [0.0, *paper] if min(paper) > 0 else discounts
        history = here[len(here) - length + 1 :]
        after = {gram[-1]: count for gram, count in known.items() if gram[:-1] == history}
        if not after:
            continue
        total = sum(after.values())
        given = sum(discounts[min(count, 3)] for count in after.values())
        count = after.get(symbol, 0)
        probability = (count - discounts[min(count, 3)] + given * probability) / total
    return probability


@settings(max_examples=25, deadline=None)
@given(texts, texts, st.integers(1, 5))
def test_it_is_what_dictionaries_have(train: list[int], passage: list[int], order: int) -> None:
    model = Ngram.fit(np.array(train), vocabulary_size=5, order=order)
    found = model.probabilities(np.array(passage))
    expected = [
        kneser_ney(train, passage[:at], symbol, size=5, order=order)
        for at, symbol in enumerate(passage)
    ]
    assert found == pytest.approx(expected, rel=1e-9)


def test_it_is_what_dictionaries_have_on_a_text_whose_counts_give_discounts() -> None:
    generator = np.random.default_rng(0)
    steps = generator.choice([0, 1, 2, 7, 13], 2_000, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    train, passage = np.split(steps.cumsum() % 17, [1_900])
    model = Ngram.fit(train, vocabulary_size=17, order=4)
    whole = [*train.tolist(), *passage.tolist()]
    expected = [
        kneser_ney(train.tolist(), whole[: 1_900 + at], symbol, size=17, order=4)
        for at, symbol in enumerate(passage[:12].tolist())
    ]
    assert model.probabilities(passage[:12], context=train) == pytest.approx(expected, rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(
    texts, texts, st.integers(1, 6), st.sampled_from(["kneser-ney", "witten-bell"]), st.booleans()
)
def test_probabilities_sum_to_one_and_steps_agree_with_passages(
    train: list[int], context: list[int], order: int, smoothing: Smoothing, has_ends: bool
) -> None:
    model = Ngram.fit(
        np.array(train),
        vocabulary_size=5,
        order=order,
        boundary=4 if has_ends else None,
        smoothing=smoothing,
    )
    distribution = model.distribution(model.start(np.array(context))[:, None])[0]
    assert distribution.sum() == pytest.approx(1, abs=1e-12)
    assert (distribution > 0).all()
    each = [model.probabilities(np.array([c]), context=np.array(context))[0] for c in range(5)]
    assert distribution == pytest.approx(each, rel=1e-12)


def test_witten_bell_by_hand() -> None:
    # Training "aab": a twice, b once, two kinds. After a: a once, b once.
    model = Ngram.fit(np.array([0, 0, 1]), vocabulary_size=2, order=2, smoothing="witten-bell")
    of_a = (2 + 2 * 0.5) / (3 + 2)
    found = model.probabilities(np.array([0]), context=np.array([0]))
    assert found == pytest.approx([(1 + 2 * of_a) / (2 + 2)])


def test_texts_side_by_side_are_what_each_is_alone() -> None:
    generator = np.random.default_rng(1)
    model = Ngram.fit(generator.integers(0, 4, 300), vocabulary_size=4, order=4)
    states = np.stack([model.start(np.array(text)) for text in ([0, 1], [2, 2, 2, 3])], axis=1)
    states = model.step(states, np.array([3, 1]))
    for row, text in enumerate(([0, 1, 3], [2, 2, 2, 3, 1])):
        alone = model.distribution(model.start(np.array(text))[:, None])[0]
        assert model.distribution(states)[row] == pytest.approx(alone, rel=1e-12)


@pytest.mark.parametrize(
    ("train", "size", "order"),
    [
        ([0] * 50, 1, 1),  # no context says more
        ([0], 1, 1),
        ([], 3, None),
        (list(range(40)), 40, 1),  # no context comes again
        ([0, 1] * 30, 30_000, MAX_ORDER),  # each order leaves less to 29,998 others
    ],
)
def test_degenerate_texts_have_probabilities(
    train: list[int], size: int, order: int | None
) -> None:
    symbols = np.array(train, dtype=np.int64)
    if order is not None:
        assert choose_order(symbols, vocabulary_size=size) == order
    model = Ngram.fit(symbols, vocabulary_size=size, order=4)
    distribution = model.distribution(model.start(symbols)[:, None])[0]
    assert distribution.sum() == pytest.approx(1, abs=1e-12)
    assert (distribution > 0).all()


def test_boundary_ends_what_a_context_sees() -> None:
    words = np.array([0, 0, 2, 1, 1, 2] * 5)
    model = Ngram.fit(words, vocabulary_size=3, order=3, boundary=2)
    after_end = model.distribution(model.start(np.array([0, 0, 2]))[:, None])[0]
    at_start = model.distribution(model.start(np.array([], dtype=np.int64))[:, None])[0]
    assert after_end == pytest.approx(at_start, rel=1e-12)
    assert at_start[0] == pytest.approx(at_start[1])


def test_order_is_the_best_on_the_last_tenth_and_learns_nothing_from_it() -> None:
    generator = np.random.default_rng(2)
    period = generator.integers(0, 3, 7)
    regular = np.tile(period, 100)
    assert choose_order(regular, vocabulary_size=3) > 2
    noise = generator.integers(0, 3, 700)
    assert choose_order(noise, vocabulary_size=3) == 1
    # What only the last tenth has: had it been counted, a long context would know it.
    tail = np.tile(generator.integers(0, 3, 35), 2)
    assert choose_order(np.concatenate([noise[:630], tail]), vocabulary_size=3) < 4


def held_out_bits(symbols: NDArray[Any], size: int, order: int) -> float:
    learnt, rest = np.split(symbols, [len(symbols) - len(symbols) // 10])
    return Ngram.fit(learnt, vocabulary_size=size, order=order).bits(rest, context=learnt)


def test_choice_of_an_order_is_that_of_whole_models(tiny_text: str) -> None:
    alphabet = {char: index for index, char in enumerate(sorted(set(tiny_text)))}
    symbols = np.array([alphabet[char] for char in tiny_text])
    size = len(alphabet)
    bits = [held_out_bits(symbols, size, order) for order in range(1, MAX_ORDER + 1)]
    chosen = choose_order(symbols, vocabulary_size=size)
    assert bits[chosen - 1] == min(bits)


def test_numbers_too_large_to_sort_with_their_places_are_numbered_the_same() -> None:
    values = np.random.default_rng(3).integers(0, 50, 400)
    (small, at), (large, at_large) = (grams._numbered(v) for v in (values, values + 2**60))
    assert (large - 2**60 == small).all() and (at == at_large).all()
    for found, expected in zip((small, at), np.unique(values, return_inverse=True), strict=True):
        assert (found == expected).all()


def test_count_by_hand() -> None:
    # Training "aab" after the boundary. Order 1: a stands twice, b once. No count of 3, so the
    # discounts are 0.5 for b and 1 for a.
    model = Ngram.fit(np.array([0, 0, 1]), vocabulary_size=2, order=1)
    of_a = (2 - 1) / 3 + (0.5 + 1) / 3 * 0.5
    assert model.bits(np.array([0])) == pytest.approx(-math.log2(of_a))
    # Order 2: before a stand the boundary and a, before b one symbol: the same counts below.
    # After a: a once, b once.
    model = Ngram.fit(np.array([0, 0, 1]), vocabulary_size=2, order=2)
    of_a_after_a = (1 - 0.5) / 2 + (0.5 + 0.5) / 2 * of_a
    bits = model.bits(np.array([0]), context=np.array([0]))
    assert bits == pytest.approx(-math.log2(of_a_after_a))
    for first, second in itertools.product(range(2), repeat=2):
        assert model.bits(np.array([first, second])) > 0
