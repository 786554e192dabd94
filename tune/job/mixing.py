"""Mixes the networks of one group with the n-gram of their symbols.

Shapes: M members, N symbols of a passage.
"""

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from model.config import TrialConfig
from model.scoring.mixture import Chosen, choose_members, fit_weights, mixed_nats
from model.scoring.objective import (
    MAX_SCORED_CHARS,
    MAX_TRAIN_CHARS,
    PreparedCorpus,
    restored_bits_per_char,
    restored_test_bits_per_char,
)
from model.text.ngram import Ngram, choose_order
from model.text.streams import Symbols

Nats = NDArray[np.float64]
Group = tuple[str, str, int, str]
"""Cleaning, unit, least count of a word, regime: what the members of a mixture have in common."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A network that may become a member.

    Attributes:
        name: What it is called.
        number: Its trial's number.
        config: Its configuration.
        location: Where its checkpoint is.
    """

    name: str
    number: int
    config: TrialConfig
    location: str

    @property
    def group(self) -> Group:
        """What the members of a mixture have in common: symbols, and how they are read."""
        config = self.config
        rare = config.min_word_count if config.unit == "word" else 0
        return config.cleaning, config.unit, rare, config.regime


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Mixed:
    """A mixture of one group, fitted on the validation passage.

    Attributes:
        networks: Its networks.
        ngram: The n-gram, a member or not.
        has_ngram: Whether it is one.
        chosen: Weights and gains, of the networks in their order, then of the n-gram.
        val_nats: What the members spend on the validation passage (M, N), in the same order.
        test_nats: The same of the test passage.
        counted: What the n-gram counts.
    """

    networks: tuple[Candidate, ...]
    ngram: Ngram
    has_ngram: bool
    chosen: Chosen
    val_nats: Nats
    test_nats: Nats
    counted: Symbols

    def val_bits_per_char(self, prepared: PreparedCorpus, weights: Nats) -> float:
        """Return restored bits of the validation passage, at some weights (M,)."""
        corpus = prepared.streams(self.networks[0].config)
        nats = mixed_nats(self.val_nats, weights).mean() * len(corpus.validation)
        own_bits = float(nats) / math.log(2) + corpus.validation_spelling_bits
        return restored_bits_per_char(own_bits, corpus)

    def test_bits_per_char(self, prepared: PreparedCorpus, weights: Nats) -> float:
        """Return restored bits of the test passage, at some weights (M,)."""
        config = self.networks[0].config
        corpus = prepared.streams(config)
        nats = mixed_nats(self.test_nats, weights).mean() * len(corpus.test)
        own_bits = float(nats) / math.log(2) + corpus.test_spelling_bits
        return restored_test_bits_per_char(own_bits, prepared, config)


def mix(
    prepared: PreparedCorpus,
    networks: list[Candidate],
    nats: list[tuple[Nats, Nats]],
) -> Mixed:
    """Fit the mixture of one group: members and weights.

    Args:
        prepared: The corpus.
        networks: The candidates.
        nats: What each spends on each symbol of the validation and of the test passage.
    """
    corpus = prepared.streams(networks[0].config)
    size, counted = len(corpus.vocabulary), corpus.train[-MAX_TRAIN_CHARS:]
    order = choose_order(counted, vocabulary_size=size)
    ngram = Ngram.fit(counted, vocabulary_size=size, order=order)
    before_test = np.concatenate([corpus.train[-order:], corpus.validation[-order:]])
    of_ngram = [
        -np.log(ngram.probabilities(passage[:MAX_SCORED_CHARS], context=context))
        for passage, context in ((corpus.validation, corpus.train), (corpus.test, before_test))
    ]
    val_nats = np.stack([*(validation for validation, _ in nats), of_ngram[0]])
    test_nats = np.stack([*(test for _, test in nats), of_ngram[1]])
    chosen = choose_members(val_nats)
    last = len(networks)  # the n-gram's row
    if chosen.members == (last,):  # no network brings anything: the best of them stands beside it
        best = int(val_nats[:last].mean(axis=1).argmin())
        weights = fit_weights(val_nats[[last, best]])
        chosen = dataclasses.replace(
            chosen, members=(last, best), weights=weights, gains_bits=np.zeros(2)
        )
    rows = [row for row in chosen.members if row != last]
    has_ngram = last in chosen.members
    rows += [last] * has_ngram
    places = [chosen.members.index(row) for row in rows]
    return Mixed(
        networks=tuple(networks[row] for row in rows if row != last),
        ngram=ngram,
        has_ngram=has_ngram,
        chosen=dataclasses.replace(
            chosen,
            members=tuple(rows),
            weights=chosen.weights[places],
            gains_bits=chosen.gains_bits[places],
        ),
        val_nats=val_nats[rows],
        test_nats=test_nats[rows],
        counted=counted,
    )
