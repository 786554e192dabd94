"""Bits per letter of the test passage, with all that a cleaning may have dropped summed out.

Every network is judged on the same letters, the passage under the cleaning `letters`, and is
shown nothing of what other cleanings lack. Under that cleaning each symbol of a vocabulary is
one letter (both "A" and "a" are "a") or silent (punctuation, digits). The probability of the
letters is the sum over all strings of the network's symbols that clean to them.

A particle filter estimates it. A particle is one such string so far, with the network's state
after it. All children of all particles are known with their weights before any is chosen:
those worth an average particle or more live on as they are; of the lighter ones one lives on
for each average particle's worth, with that weight. So the estimate of the probability is
without bias; its -log2 is in expectation an upper bound, and falls as particles are added.

The passage is one long pass: only before its first letter is a network shown a text, in its own
cleaning. Shapes: B particles, V vocabulary, S symbols, C children, N those that live on.
Source: Fearnhead & Clifford 2003, "On-line inference for hidden Markov models via particle
filters", with a threshold of an average weight instead of their optimal one, which keeps many
particles of nearly no weight.
"""

import dataclasses
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.cleaning import clean
from model.evaluate import WARM_UP_CHARS
from model.lstm import CharLSTM
from model.network import Network
from model.seeds import hash_seed
from model.stepping import Stepper
from model.streams import EncodedCorpus
from model.vocabulary import Vocabulary

PARTICLES = 64
"""Of three trained networks, none gained more than 0.003 bits from four times as many."""
MAX_LETTERS = 16_384
"""So many letters of a longer passage are scored: the cost is bounded, and the same for all."""
MAX_SILENT_RUN = 16
"""Silent symbols before a letter, at most; what is cut only lowers the probability."""

Weights = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LetterScore:
    """What a network spends on a letter of the test passage; an upper bound that falls.

    Attributes:
        num_particles: Particles of the estimate; 1 where one is exact.
        bits_per_letter: With all particles.
        bits_per_letter_quarter: With a quarter of them.
        bits_per_letter_sixteenth: With a sixteenth of them.
    """

    num_particles: int
    bits_per_letter: float
    bits_per_letter_quarter: float
    bits_per_letter_sixteenth: float


def score_letters(network: Network, corpus: EncodedCorpus, *, seed: int) -> LetterScore | None:
    """Score a network on the letters of the test passage.

    Args:
        network: The network; it is left in evaluation mode.
        corpus: The streams of its cleaning.
        seed: Seed of the network; what lives on is drawn by a generator derived from it.

    Returns:
        The score; None for a network that carries no state (the window regime) or whose
        symbols are not characters.
    """
    if not (isinstance(network, CharLSTM) and isinstance(corpus.vocabulary, Vocabulary)):
        return None
    # All cleanings keep the letters, so they can be had from each.
    letters = clean(corpus.vocabulary.decode(corpus.test), "letters")[:MAX_LETTERS]
    one_is_exact = set(corpus.vocabulary.symbols) == set(_symbols_by_letter(corpus.vocabulary))
    num_particles = 1 if one_is_exact else PARTICLES
    bits = {
        number: letter_bits(
            network,
            corpus.vocabulary,
            letters,
            context=corpus.validation,
            num_particles=number,
            seed=hash_seed(seed, number),
        )
        / len(letters)
        for number in {max(1, num_particles // parts) for parts in (1, 4, 16)}
    }
    return LetterScore(
        num_particles=num_particles,
        bits_per_letter=bits[num_particles],
        bits_per_letter_quarter=bits[max(1, num_particles // 4)],
        bits_per_letter_sixteenth=bits[max(1, num_particles // 16)],
    )


@torch.inference_mode()
def letter_bits(
    network: CharLSTM,
    vocabulary: Vocabulary,
    letters: str,
    *,
    context: NDArray[np.integer[Any]],
    num_particles: int,
    seed: int,
    max_silent_run: int = MAX_SILENT_RUN,
) -> float:
    """Return the bits that a network spends on letters, in all.

    Args:
        network: The network; it is left in evaluation mode.
        vocabulary: Its symbols.
        letters: A text that the cleaning `letters` gives, of letters in the vocabulary.
        context: Indices of the text before it in the network's own cleaning, at least one.
        num_particles: At least 1.
        seed: Seed of what lives on.
        max_silent_run: Silent symbols before a letter, at most.
    """
    generator = np.random.default_rng(seed)
    symbols_of = _symbols_by_letter(vocabulary)
    silent_S = symbols_of.pop("", np.empty(0, dtype=np.intp))
    network.eval()
    device = next(network.parameters()).device
    context_T = torch.from_numpy(context[-WARM_UP_CHARS:].astype(np.int64)).to(device)
    logits_1V, stepper = network.start_stepper(context_T[:, None])
    particles = _Particles(stepper, np.ones(1), _probabilities(logits_1V))
    bits = 0.0
    for letter in letters:
        total = particles.weights_B.sum()
        bits -= float(np.log2(total))
        particles.weights_B /= total
        arrived: list[_Children] = []
        pool = waiting = particles
        for silent_before in range(max_silent_run + 1):
            arrived.append(waiting.children(symbols_of[letter], pool))
            if silent_before == max_silent_run or not len(silent_S):
                break
            silent = waiting.children(silent_S, pool)
            threshold = _threshold([*arrived, silent], num_particles)
            silent = silent.survivors(threshold, generator)
            if not len(silent.weights_C):
                break
            waiting = pool.step(silent)
            pool = pool.join(waiting)
        threshold = _threshold(arrived, num_particles)
        particles = pool.step(_Children.of(arrived).survivors(threshold, generator))
    return bits - float(np.log2(particles.weights_B.sum()))


@dataclasses.dataclass(frozen=True, slots=True)
class _Children:
    """Particles that may follow: their weights, their parents' rows, their last symbols."""

    weights_C: Weights
    rows_C: Indices
    symbols_C: Indices

    @classmethod
    def of(cls, parts: list["_Children"]) -> "_Children":
        if len(parts) == 1:
            return parts[0]
        return cls(
            np.concatenate([part.weights_C for part in parts]),
            np.concatenate([part.rows_C for part in parts]),
            np.concatenate([part.symbols_C for part in parts]),
        )

    def survivors(self, threshold: float, generator: np.random.Generator) -> "_Children":
        """Keep what weighs a threshold or more; of the rest one for each threshold's weight."""
        if threshold == 0.0:
            return self
        light_C = self.weights_C < threshold
        # Systematic: the light ones lie side by side on a line, with a mark at each threshold.
        ends_C = np.where(light_C, self.weights_C, 0.0).cumsum() / threshold
        marks_C = np.floor(ends_C + generator.random())
        lives_C = ~light_C
        lives_C[0] |= marks_C[0] > 0
        lives_C[1:] |= marks_C[1:] > marks_C[:-1]
        lives_N = lives_C.nonzero()[0]
        weights_N = np.maximum(self.weights_C[lives_N], threshold)
        return _Children(weights_N, self.rows_C[lives_N], self.symbols_C[lives_N])


@dataclasses.dataclass(slots=True)
class _Particles:
    """Strings so far: the network's states, their weights, what the network expects next."""

    stepper: Stepper
    weights_B: Weights
    probabilities_BV: Weights

    def children(self, symbols_S: Indices, pool: "_Particles") -> _Children:
        """Return all that follow by one of these symbols; these particles end the pool."""
        end = len(pool.weights_B)
        rows_B = np.arange(end - len(self.weights_B), end)
        weights_BS = self.weights_B[:, None] * self.probabilities_BV[:, symbols_S]
        return _Children(
            weights_BS.ravel(), rows_B.repeat(len(symbols_S)), np.tile(symbols_S, len(rows_B))
        )

    def step(self, children: _Children) -> "_Particles":
        """Take the step of each child; these particles stay where they are."""
        device = self.stepper.device
        stepper = self.stepper.pick(torch.from_numpy(children.rows_C).to(device))
        logits_CV = stepper.step(torch.from_numpy(children.symbols_C).to(device))
        return _Particles(stepper, children.weights_C, _probabilities(logits_CV))

    def join(self, others: "_Particles") -> "_Particles":
        """Return these particles and, after them, the others."""
        return _Particles(
            self.stepper.join(others.stepper),
            np.concatenate([self.weights_B, others.weights_B]),
            np.concatenate([self.probabilities_BV, others.probabilities_BV]),
        )


def _threshold(parts: list[_Children], num_particles: int) -> float:
    """Return the weight of an average particle, or 0 where there are no more than these."""
    if sum(len(part.weights_C) for part in parts) <= num_particles:
        return 0.0
    return float(sum(part.weights_C.sum() for part in parts)) / num_particles


def _probabilities(logits_BV: Tensor) -> Weights:
    probabilities: Weights = logits_BV.double().softmax(dim=1).cpu().numpy()
    return probabilities


def _symbols_by_letter(vocabulary: Vocabulary) -> dict[str, Indices]:
    """Return the indices of the symbols that clean to each letter, and to nothing."""
    found: dict[str, list[int]] = {}
    for index, symbol in enumerate(vocabulary.symbols):
        found.setdefault(clean(symbol, "letters"), []).append(index)
    return {letter: np.array(indices, dtype=np.intp) for letter, indices in found.items()}
