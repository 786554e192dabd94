"""A particle filter over a network's state: the probability of letters, the rest summed out.

Under the cleaning `letters`, each symbol of a vocabulary is one letter (both "A" and "a" are "a")
or silent (punctuation, digits); the symbol of rare characters is each of them in its share. The
probability of letters is the sum over all strings of the network's symbols that clean to them. A
particle is one such string so far, with the network's state after it. All children of all
particles and their weights are known before any is chosen. Those that weigh as much as an average
particle or more survive unchanged. Of the lighter ones, one survives per average particle's
weight, with that weight. So the estimate of the probability is unbiased; its -log2 is in
expectation an upper bound, which falls as particles are added.

Rejected (figures in DESIGN.md): sampling each child, and the source's optimal threshold.
Source: Fearnhead & Clifford 2003, "On-line inference for hidden Markov models via particle
filters". Shapes: B particles, V vocabulary, S symbols, C children, N survivors.
"""

import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.network.stepping import Stepper
from model.network.stream import StreamNetwork
from model.scoring.layout import WARM_UP_SYMBOLS
from model.text.cleaning import LETTERS, clean
from model.text.common_chars import CommonCharVocabulary
from model.text.vocabulary import Symbols, Vocabulary

MAX_SILENT_RUN = 16
"""Maximum number of silent symbols before a letter; the cut only lowers the probability."""
Weights = NDArray[np.float64]
Indices = NDArray[np.intp]


@torch.inference_mode()
def letter_bits(
    network: StreamNetwork,
    vocabulary: Vocabulary | CommonCharVocabulary,
    letters: str,
    *,
    context: Symbols,
    num_particles: int,
    seed: int,
    max_silent_run: int = MAX_SILENT_RUN,
) -> float:
    """Return a network's cost of letters, in bits, in total.

    Args:
        network: The network; it is left in evaluation mode.
        vocabulary: Its symbols.
        letters: A text as cleaned by `letters`, made of letters in the vocabulary.
        context: Indices of the text before it in the network's own cleaning, at least one.
        num_particles: At least 1.
        seed: Seed of the resampling.
        max_silent_run: Maximum number of silent symbols before a letter.
    """
    generator = np.random.default_rng(seed)
    symbols_of = symbols_by_letter(vocabulary)
    silent = symbols_of.pop("", Spellings(np.empty(0, dtype=np.intp), np.empty(0)))
    network.eval()
    context_T = torch.from_numpy(context[-WARM_UP_SYMBOLS:].astype(np.int64)).to(network.device)
    logits_1V, stepper = network.start_stepper(context_T[:, None])
    particles = _Particles(stepper, np.ones(1), _probabilities(logits_1V))
    bits = 0.0
    for letter in letters:
        total = particles.weights.sum()
        bits -= float(np.log2(total))
        particles.weights /= total
        arrived: list[_Children] = []
        pool = waiting = particles
        for silent_before in range(max_silent_run + 1):
            arrived.append(waiting.children(symbols_of[letter], pool))
            if silent_before == max_silent_run or not len(silent.symbols):
                break
            lengthened = waiting.children(silent, pool)
            threshold = _threshold([*arrived, lengthened], num_particles)
            lengthened = lengthened.survivors(threshold, generator)
            if not len(lengthened.weights):
                break
            waiting = pool.step(lengthened)
            pool = pool.join(waiting)
        threshold = _threshold(arrived, num_particles)
        particles = pool.step(_Children.of(arrived).survivors(threshold, generator))
    return bits - float(np.log2(particles.weights.sum()))


@dataclasses.dataclass(frozen=True, slots=True)
class Spellings:
    """The symbols (S,) that clean to one letter.

    Attributes:
        symbols: Their indices.
        shares: Share of each symbol that is the letter: 1 except for that of rare characters.
    """

    symbols: Indices
    shares: Weights


@dataclasses.dataclass(frozen=True, slots=True)
class _Children:
    """Candidate next particles: their weights, their parents' rows, their last symbols."""

    weights: Weights
    rows: Indices
    symbols: Indices

    @classmethod
    def of(cls, parts: list["_Children"]) -> "_Children":
        if len(parts) == 1:
            return parts[0]
        return cls(
            np.concatenate([part.weights for part in parts]),
            np.concatenate([part.rows for part in parts]),
            np.concatenate([part.symbols for part in parts]),
        )

    def survivors(self, threshold: float, generator: np.random.Generator) -> "_Children":
        """Keep children of threshold weight or more; of the rest, one per threshold's weight."""
        if threshold == 0.0:
            return self
        light_C = self.weights < threshold
        # Systematic resampling: the light ones lie end to end on a line, a mark per threshold.
        ends_C = np.where(light_C, self.weights, 0.0).cumsum() / threshold
        marks_C = np.floor(ends_C + generator.random())
        lives_C = ~light_C
        lives_C[0] |= marks_C[0] > 0
        lives_C[1:] |= marks_C[1:] > marks_C[:-1]
        lives_N = lives_C.nonzero()[0]
        weights_N = np.maximum(self.weights[lives_N], threshold)
        return _Children(weights_N, self.rows[lives_N], self.symbols[lives_N])


@dataclasses.dataclass(slots=True)
class _Particles:
    """Strings so far: the network's states, their weights, the next symbol's probabilities."""

    stepper: Stepper
    weights: Weights
    probabilities: Weights

    def children(self, spellings: Spellings, pool: "_Particles") -> _Children:
        """Return all continuations by one of these symbols; these particles end the pool."""
        end = len(pool.weights)
        rows_B = np.arange(end - len(self.weights), end)
        symbols_S = spellings.symbols
        weights_BS = self.weights[:, None] * self.probabilities[:, symbols_S] * spellings.shares
        symbols_BS = symbols_S[None].repeat(len(rows_B), axis=0)
        return _Children(weights_BS.ravel(), rows_B.repeat(len(symbols_S)), symbols_BS.ravel())

    def step(self, children: _Children) -> "_Particles":
        """Step the network once for each child; these particles do not change."""
        device = self.stepper.device
        stepper = self.stepper.pick(torch.from_numpy(children.rows).to(device))
        logits_CV = stepper.step(torch.from_numpy(children.symbols).to(device))
        return _Particles(stepper, children.weights, _probabilities(logits_CV))

    def join(self, others: "_Particles") -> "_Particles":
        """Return these particles and, after them, the others."""
        return _Particles(
            self.stepper.join(others.stepper),
            np.concatenate([self.weights, others.weights]),
            np.concatenate([self.probabilities, others.probabilities]),
        )


def _threshold(parts: list[_Children], num_particles: int) -> float:
    """Return the weight of an average particle; 0 if there are at most `num_particles`."""
    if sum(len(part.weights) for part in parts) <= num_particles:
        return 0.0
    return float(sum(part.weights.sum() for part in parts)) / num_particles


def _probabilities(logits_BV: Tensor) -> Weights:
    probabilities: Weights = logits_BV.softmax(dim=1, dtype=torch.float64).cpu().numpy()
    return probabilities


def symbols_by_letter(vocabulary: Vocabulary | CommonCharVocabulary) -> dict[str, Spellings]:
    """Return the symbols that clean to each letter, and to nothing."""
    if isinstance(vocabulary, CommonCharVocabulary):
        common, rare = vocabulary.common, vocabulary.rare
    else:
        common, rare = vocabulary.symbols, ()
    found: dict[str, dict[int, float]] = {}
    for index, symbol in enumerate(common):
        found.setdefault(clean(symbol, LETTERS), {})[index] = 1.0
    for symbol in rare:
        shares = found.setdefault(clean(symbol, LETTERS), {})
        shares[len(common)] = shares.get(len(common), 0.0) + 1 / len(rare)
    return {
        letter: Spellings(np.array([*shares], dtype=np.intp), np.array([*shares.values()]))
        for letter, shares in found.items()
    }
