"""Mixes the networks of one group with the n-gram of their symbols.

Shapes: M members, N symbols of a passage.
"""

import dataclasses
import math

import numpy as np

from model.config import TrialConfig
from model.scoring.mixture import Chosen, Nats, choose_members, is_gain, mixed_nats
from model.scoring.ngram_cache import CONTEXT_SYMBOLS, NgramCache
from model.scoring.objective import MAX_TRAIN_CHARS, PreparedCorpus, restored_bits_per_char
from model.text.ngram import Ngram, choose_order
from model.text.streams import Part
from model.text.vocabulary import Symbols

Group = tuple[str, str, int, str]
"""Cleaning, unit, minimum word count, regime: what a mixture's members have in common."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A network that may become a member.

    Attributes:
        name: Its name for users.
        number: Its trial's number.
        config: Its configuration.
        location: Where its checkpoint is.
        epoch_seconds: Seconds that an epoch of its training took.
    """

    name: str
    number: int
    config: TrialConfig
    location: str
    epoch_seconds: float

    @property
    def group(self) -> Group:
        """What a mixture's members have in common: the symbols, and how they are read."""
        config = self.config
        rare = config.min_word_count if config.unit == "word" else 0
        return config.cleaning, config.unit, rare, config.regime


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Mixed:
    """A mixture of one group, fitted on the validation passage.

    Attributes:
        networks: Its networks.
        ngram: The n-gram, if it is a member.
        chosen: Weights and gains of the networks in their order, then of the n-gram.
        counted: What the n-gram counts.
        cache: The cache; None if it gains no more than noise.
        val_bits_per_char: The mixture's restored bits there, with its cache.
        val_bits_without_cache: The same without the cache.
        members_val_bits_per_char: Each member's own.
    """

    networks: tuple[Candidate, ...]
    ngram: Ngram | None
    chosen: Chosen
    counted: Symbols
    cache: NgramCache | None
    val_bits_per_char: float
    val_bits_without_cache: float
    members_val_bits_per_char: tuple[float, ...]


def mix(prepared: PreparedCorpus, networks: list[Candidate], nats: list[Nats]) -> Mixed:
    """Fit the mixture of one group: members, weights and cache.

    Args:
        prepared: The corpus.
        networks: The candidates.
        nats: Each one's nats per symbol of the validation passage, or of its beginning.
    """
    corpus = prepared.streams(networks[0].config)
    size, counted = len(corpus.vocabulary), corpus.train.symbols[-MAX_TRAIN_CHARS:]
    order = choose_order(counted, vocabulary_size=size)
    ngram = Ngram.fit(counted, vocabulary_size=size, order=order)
    scored = corpus.validation.symbols[: len(nats[0])]
    all_nats = np.stack([*nats, ngram.nats(scored, context=corpus.train.symbols)])
    chosen = choose_members(all_nats)
    val_nats = all_nats[[*chosen.members]]
    mixed = mixed_nats(val_nats, chosen.weights)
    cache, cached = NgramCache.fit(mixed, scored, context=corpus.train.symbols)
    has_cache = is_gain(mixed - cached)
    return Mixed(
        networks=tuple(networks[row] for row in chosen.members if row < len(networks)),
        ngram=ngram if len(networks) in chosen.members else None,
        chosen=chosen,
        counted=counted,
        cache=cache if has_cache else None,
        val_bits_per_char=_restored(cached if has_cache else mixed, corpus.validation),
        val_bits_without_cache=_restored(mixed, corpus.validation),
        members_val_bits_per_char=tuple(_restored(nats, corpus.validation) for nats in val_nats),
    )


def on_test_passage(prepared: PreparedCorpus, mixed: Mixed, nats: list[Nats]) -> list[float]:
    """Return restored bits on the test passage, in the order of predictor.csv's rows.

    These are the mixture, each member and, if there is a cache, the mixture without it.

    Args:
        prepared: The corpus.
        mixed: The mixture.
        nats: Its networks' nats per symbol of the passage, or of its beginning.
    """
    corpus = prepared.streams(mixed.networks[0].config)
    train, validation, test = (part.symbols for part in corpus.parts)
    before = np.concatenate([train[-CONTEXT_SYMBOLS:], validation[-CONTEXT_SYMBOLS:]])
    scored = test[: len(nats[0])]
    if mixed.ngram:
        nats = [*nats, mixed.ngram.nats(scored, context=before)]
    whole = mixed_nats(np.stack(nats), mixed.chosen.weights)
    if mixed.cache:
        nats = [*nats, whole]
        whole = mixed.cache.nats(whole, scored, context=before)
    return [_restored(each, corpus.test) for each in (whole, *nats)]


def _restored(nats: Nats, passage: Part) -> float:
    """Return restored bits of a passage from the nats of its symbols, or of the first ones."""
    own_bits = float(nats.mean()) * len(passage.symbols) / math.log(2)
    return restored_bits_per_char(own_bits + passage.spelling_bits, passage)
