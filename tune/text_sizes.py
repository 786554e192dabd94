"""How long the texts of a space are: what time and memory of a trial are estimated from."""

import itertools
from collections.abc import Mapping

from model.config import TrialConfig
from model.scoring.objective import PreparedCorpus
from model.training.cost import TextSizes
from search_spaces import SearchSpace

SizesByText = Mapping[tuple[str, str], TextSizes]
"""Cleaning and unit to sizes."""


def text_sizes(space: SearchSpace, prepared: PreparedCorpus) -> SizesByText:
    """Measure the encoded texts of a space.

    Words are measured where most of them are symbols, at the space's smallest min_word_count:
    the others take no more.
    """
    most_words = {"min_word_count": min(space.values("min_word_count"))}
    return {
        (cleaning, unit): TextSizes.of(
            prepared.streams(space.config({**most_words, "cleaning": cleaning, "unit": unit}))
        )
        for cleaning, unit in itertools.product(prepared.encoded, space.values("unit"))
    }


def text_of(config: TrialConfig) -> tuple[str, str]:
    """Return which of a space's texts a configuration reads."""
    return config.cleaning, config.unit
