"""A network or an n-gram, with its symbols, that can score a text.

Shapes: N symbols of a passage, T steps and B windows.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from model.network.base import Network
from model.scoring.evaluation import cold_nats, ngram_cold_nats, symbol_nats
from model.scoring.ngram_cache import CONTEXT_SYMBOLS, NgramCache
from model.scoring.objective import MAX_TRAIN_CHARS
from model.text.cleaning import clean
from model.text.common_chars import CommonCharVocabulary
from model.text.ngram import Ngram, choose_order
from model.text.streams import AnyVocabulary
from model.text.vocabulary import Symbols, Vocabulary
from model.text.words import WordVocabulary

CONTEXT_CHARS = 10 * CONTEXT_SYMBOLS
"""Characters read before a passage: enough for the words that a cache counts, and more than the
warm-up of any network."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ScoredModel:
    """A model that scores text.

    Attributes:
        description: The model, in words.
        vocabulary: Its symbols.
        cleaning: How its text is cleaned.
        symbol_nats: Takes a passage (N,) and its context, returns the cost of each symbol.
        cold_nats: Takes windows (T + 1, B), returns the cost of all symbols but the first (T, B).
    """

    description: str
    vocabulary: AnyVocabulary
    cleaning: str
    symbol_nats: Callable[[Symbols, Symbols], NDArray[np.float64]]
    cold_nats: Callable[[Symbols], NDArray[np.float64]]

    @property
    def spelled(self) -> str:
        """What its symbols do not determine and is priced separately; empty if nothing."""
        if isinstance(self.vocabulary, WordVocabulary):
            return "the spelling of unknown words"
        is_shared = isinstance(self.vocabulary, CommonCharVocabulary)
        return "which of the rare characters it is" if is_shared else ""

    @classmethod
    def of_network(
        cls,
        network: Network,
        vocabulary: AnyVocabulary,
        *,
        cleaning: str,
        description: str,
    ) -> "ScoredModel":
        """Wrap a network of any kind, including a mixture."""
        return cls(
            description=description,
            vocabulary=vocabulary,
            cleaning=cleaning,
            symbol_nats=lambda passage, context: symbol_nats(network, passage, context=context),
            cold_nats=lambda texts_TB: cold_nats(network, texts_TB),
        )

    @classmethod
    def of_ngram(cls, learnt: str, whole: str, *, cleaning: str) -> "ScoredModel":
        """Train an n-gram of characters.

        Args:
            learnt: The raw text to train on; of a long text only the end, as for the floor.
            whole: A raw text with all characters that it may have to score.
            cleaning: How its texts are cleaned.
        """
        vocabulary = Vocabulary.of(clean(whole, cleaning))
        train = vocabulary.encode(clean(learnt[-MAX_TRAIN_CHARS:], cleaning))
        order = choose_order(train, vocabulary_size=len(vocabulary))
        ngram = Ngram.fit(train, vocabulary_size=len(vocabulary), order=order)

        return cls(
            description=f"Kneser-Ney {order}-gram, {cleaning}, {len(train):,} characters learnt",
            vocabulary=vocabulary,
            cleaning=cleaning,
            symbol_nats=lambda passage, context: ngram.nats(passage, context=context),
            cold_nats=lambda texts_TB: ngram_cold_nats(ngram, texts_TB),
        )

    def with_cache(self, cache: NgramCache) -> "ScoredModel":
        """Return the same model with a cache for passages, but not for windows."""
        return dataclasses.replace(
            self,
            symbol_nats=lambda passage, context: cache.nats(
                self.symbol_nats(passage, context), passage, context=context
            ),
        )

    def context(self, before: str) -> Symbols:
        """Return the context of a passage: the text before it, or a space if there is none.

        Args:
            before: A cleaned text; characters that the model lacks are left out.
        """
        before = before[-CONTEXT_CHARS:]
        unknown = self.vocabulary.unknown_chars(before)
        known = "".join(char for char in before if char not in unknown)
        return self.vocabulary.encode(known or self.vocabulary.blank)
