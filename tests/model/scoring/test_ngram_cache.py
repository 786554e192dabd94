"""The cache expects again what a text has said before, and its probabilities are some."""

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from model.scoring import ngram_cache
from model.scoring.ngram_cache import CONTEXT_SYMBOLS, NgramCache

VOCABULARY = 5
CACHE = NgramCache(shortest=2, longest=10, escape_weight=3.0)


def drawn(num_symbols: int, seed: int) -> NDArray[np.uint8]:
    """Return a text that often says again what it said."""
    rng = np.random.default_rng(seed)
    pieces = [rng.integers(0, VOCABULARY, 7) for _ in range(4)]
    chosen = rng.integers(0, 4, num_symbols // 7 + 1)
    return np.concatenate([pieces[piece] for piece in chosen])[:num_symbols].astype(np.uint8)


def plain_probability(text: list[int], symbol: int, base: float) -> float:
    """Return what the cache gives a symbol after a text, as its formula says it."""
    for length in range(CACHE.shortest, CACHE.longest + 1):
        here = text[len(text) - length :]
        starts = range(len(text) - length)
        after = [text[at + length] for at in starts if text[at : at + length] == here]
        if length <= len(text) and after:
            others = CACHE.escape_weight * len(set(after))
            base = (after.count(symbol) + others * base) / (len(after) + others)
    return base


def test_it_is_its_formula_and_sums_to_one() -> None:
    context, passage = drawn(30, 1), drawn(80, 2)
    probabilities = np.random.default_rng(3).dirichlet(np.ones(VOCABULARY), len(passage))
    of_all = np.empty_like(probabilities)
    for symbol in range(VOCABULARY):
        for place in range(len(passage)):
            seen = np.array([*passage[:place], symbol], dtype=np.uint8)
            nats = -np.log(probabilities[range(place + 1), seen])
            cached = CACHE.nats(nats, seen, context=context)
            of_all[place, symbol] = math.exp(-cached[-1])
    assert of_all.sum(axis=1) == pytest.approx(np.ones(len(passage)))
    assert not np.allclose(of_all, probabilities)
    text = [*map(int, context), *map(int, passage)]
    for place, symbol in itertools.product((0, 1, 40, 79), range(VOCABULARY)):
        expected = plain_probability(
            text[: len(context) + place], symbol, probabilities[place, symbol]
        )
        assert of_all[place, symbol] == pytest.approx(expected)


def test_what_is_said_again_costs_less_and_what_is_new_costs_the_same() -> None:
    new = np.random.default_rng(4).permutation(1_000)
    nats = np.full(2_000, math.log(1_000))
    cached = CACHE.nats(nats, np.concatenate([new, new]), context=new[:1])
    assert cached[:1_000] == pytest.approx(nats[:1_000])
    assert cached[1_000 + CACHE.shortest :].max() < 0.5 * nats[0]


def test_only_the_end_of_the_context_is_counted() -> None:
    rng = np.random.default_rng(5)
    passage, other = rng.permutation(60) + 100, rng.integers(0, 100, CONTEXT_SYMBOLS)
    nats = np.full(60, 5.0)
    far = CACHE.nats(nats, passage, context=np.concatenate([passage, other]))
    near = CACHE.nats(nats, passage, context=np.concatenate([passage, other[60:]]))
    # But for the first symbol, which follows what was counted.
    assert far[1:] == pytest.approx(nats[1:]) and near[CACHE.shortest :].max() < 4.0


def test_fitted_cache_is_the_best_of_those_tried() -> None:
    passage = drawn(600, 6)
    nats = np.full(600, math.log(VOCABULARY))
    tried = [
        NgramCache(shortest=shortest, longest=shortest + 8, escape_weight=weight)
        for shortest in ngram_cache._SHORTEST
        for weight in ngram_cache._ESCAPE_WEIGHTS
    ]
    spent = {cache: cache.nats(nats, passage, context=passage[:1]).sum() for cache in tried}
    best, cached = NgramCache.fit(nats, passage, context=passage[:1])
    assert cached.sum() == spent[best] == min(spent.values()) < max(spent.values())


def test_it_spends_a_finite_price_on_what_the_model_thinks_impossible() -> None:
    passage = np.array([1] * 20_000 + [2])
    for cache in (CACHE, NgramCache(shortest=1, longest=32, escape_weight=1_000.0)):
        nats = np.array([800.0] + [0.1] * 19_999 + [690.0])
        cached = cache.nats(nats, passage, context=passage[:1])
        assert np.isfinite(cached).all() and min(cached[0], cached[-1]) > 400


@pytest.mark.parametrize("num_context", [0, 1, 2, 3])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32])
def test_short_passages_and_contexts_of_any_type(
    num_context: int, kind: type[np.unsignedinteger]
) -> None:
    text = np.array([3, 1, 3, 1, 3], dtype=kind)
    text.flags.writeable = False
    context, passage = text[:num_context], text[num_context:]
    nats = np.full(len(passage), 1.5)
    cached = CACHE.nats(nats, passage, context=context)
    before = [*map(int, text[: len(text) - 1])]
    assert math.exp(-cached[-1]) == pytest.approx(plain_probability(before, 3, math.exp(-1.5)))
    if num_context == 0:
        assert CACHE.nats(nats[:1], passage[:1], context=context) == pytest.approx(nats[:1])


@pytest.mark.parametrize(
    ("shortest", "longest", "escape_weight", "message"),
    [
        (0, 8, 1.0, "contexts must have 1 to 32 symbols, got 0 to 8"),
        (4, 3, 1.0, "contexts must have 1 to 32 symbols, got 4 to 3"),
        (4, 33, 1.0, "contexts must have 1 to 32 symbols, got 4 to 33"),
        (1, 8, 0.0, r"escape_weight must be above 0 and at most 1000, got 0\.0"),
        (1, 8, 1e308, "escape_weight must be above 0 and at most 1000"),
        (1, 8, math.nan, "escape_weight must be above 0 and at most 1000, got nan"),
    ],
)
def test_its_numbers_have_rules(
    shortest: int, longest: int, escape_weight: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        NgramCache(shortest=shortest, longest=longest, escape_weight=escape_weight)
