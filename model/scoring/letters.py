"""Bits per letter of the test passage: all cleanings are scored on the same letters.

The letters are the passage under the cleaning `letters`. A network of another cleaning never sees
the symbols that this cleaning drops; it has to sum over them (particle_filter.py). The passage is
scored in one pass: a network sees text in its own cleaning only before the first letter.
Rejected: parallel segments, each entered with the text before it. The punctuation there would be
visible to some networks and not to others.
"""

import dataclasses
import functools

from model.config import TrialConfig
from model.network.base import Network
from model.network.stream import StreamNetwork
from model.scoring.particle_filter import letter_bits, symbols_by_letter
from model.scoring.second_judge import has_letters
from model.system.seeds import hash_seed
from model.text.cleaning import LETTERS, clean
from model.text.common_chars import CommonCharVocabulary
from model.text.streams import EncodedCorpus, text_of
from model.text.vocabulary import Vocabulary

PARTICLES = 32
"""1 x 512 on the book, `lower`: 1.928, 1.913, 1.899 and 1.892 bits with 16, 32, 64 and 256
particles, in 18, 26, 40 and 117 s of a busy core. It is still falling, hence the trend."""
MAX_LETTERS = 16_384
"""Letters of a longer passage that are scored: this bounds the cost, equally for all networks."""
SECONDS_A_LETTER, SECONDS_A_LETTER_AND_PARAMETER = 0.6e-3, 1.1e-9
"""Measured on one busy core: 13.0 s for 13,593 letters at 1 x 256, 26.0 s at 1 x 512."""
TREND_COST = 2.0
"""Cost with the trend, relative to without: 1.7 at 1 x 512, 2.0 at 1 x 256."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LetterScore:
    """Bits per letter of the test passage: an upper bound that falls as particles are added.

    Fields are named after the columns of finalists.csv.

    Attributes:
        letter_particles: Particles of the estimate; 1 where one gives the exact value.
        test_bits_per_letter: With all particles.
        test_bits_per_letter_quarter: With a quarter of them; None if not requested.
        test_bits_per_letter_sixteenth: With a sixteenth of them; None if not requested.
    """

    letter_particles: int
    test_bits_per_letter: float
    test_bits_per_letter_quarter: float | None
    test_bits_per_letter_sixteenth: float | None


def score_letters(
    network: Network, corpus: EncodedCorpus, *, seed: int, with_trend: bool
) -> LetterScore | None:
    """Score a network on the letters of the test passage.

    Args:
        network: The network; it is left in evaluation mode.
        corpus: The streams of its cleaning.
        seed: Seed of the network; the seed of the resampling is derived from it.
        with_trend: Whether to estimate with fewer particles too.

    Returns:
        The score; None for a network that carries no state (the window regime), for one whose
        symbols are not characters, and for a passage without letters.
    """
    vocabulary = corpus.vocabulary
    if not isinstance(vocabulary, (Vocabulary, CommonCharVocabulary)):
        return None
    if not isinstance(network, StreamNetwork):
        return None
    # Every cleaning keeps the letters, so each one's text contains them.
    letters = clean(text_of(corpus, corpus.test), LETTERS)[:MAX_LETTERS]
    if not letters:
        return None

    @functools.cache
    def bits_per_letter(num_particles: int) -> float:
        bits = letter_bits(
            network,
            vocabulary,
            letters,
            context=corpus.validation.symbols,
            num_particles=num_particles,
            seed=hash_seed(seed, num_particles),
        )
        return bits / len(letters)

    is_exact = set(symbols_by_letter(vocabulary)) == set(vocabulary.alphabet)
    most = 1 if is_exact else PARTICLES
    return LetterScore(
        letter_particles=most,
        test_bits_per_letter=bits_per_letter(most),
        test_bits_per_letter_quarter=bits_per_letter(max(1, most // 4)) if with_trend else None,
        test_bits_per_letter_sixteenth=bits_per_letter(max(1, most // 16)) if with_trend else None,
    )


def scoring_seconds(
    config: TrialConfig, num_parameters: int, *, num_chars: int, with_trend: bool
) -> float:
    """Estimate the seconds that scoring takes on one CPU core; a `letters` network takes less.

    Args:
        config: Its configuration.
        num_parameters: Its trainable parameters.
        num_chars: Characters of the test passage in its own cleaning.
        with_trend: Whether to estimate with fewer particles too.
    """
    if not has_letters(config):
        return 0.0
    each = SECONDS_A_LETTER + num_parameters * SECONDS_A_LETTER_AND_PARAMETER
    return min(num_chars, MAX_LETTERS) * each * (TREND_COST if with_trend else 1.0)
