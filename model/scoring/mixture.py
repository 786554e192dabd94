"""A weighted mixture of networks and an n-gram: its predictions, its weights, its members.

At each symbol, p(c | h) is the weighted sum of the members' probabilities. The weights maximise
the likelihood of a held-out passage, a convex problem that is solved by expectation
maximisation.

Shapes: T time steps, B passages, V vocabulary, M members, N symbols of a passage.
Source: Jelinek & Mercer 1980, "Interpolated estimation of Markov source parameters from sparse
data" (mixtures and their weights).
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.network.base import Network, Step
from model.text.ngram import Ngram

MIN_GAIN_BITS = 0.003
"""Bits per symbol that a member must save on the passage. The means of three seeds of one
configuration scatter by 0.005 (docs/results.md): less is noise."""
MAX_NETWORKS = 8
"""Maximum number of networks in a mixture: each adds one forward step per symbol."""
_BLOCK_SYMBOLS, _LEAST_BLOCKS = 256, 8
"""Costs of neighbouring symbols are correlated, so standard errors are those of block means."""
_MAX_ITERATIONS, _LEAST_STEP_NATS = 1_000, 1e-7
Nats = NDArray[np.float64]


class Mixture(Network):
    """Networks over the same symbols, with or without an n-gram over these, as one network.

    Attributes:
        networks: The networks.
        weights: Those of the networks, then that of the n-gram; at least 0, with a sum of 1.
        ngram: The n-gram, or None.
    """

    def __init__(
        self, networks: Sequence[Network], weights: Sequence[float], ngram: Ngram | None
    ) -> None:
        super().__init__()
        assert networks and len(weights) == len(networks) + (ngram is not None)
        self.networks = tuple(networks)
        self._registered = nn.ModuleList(networks)  # so that `to` moves them
        self.weights = tuple(weights)
        self.ngram = ngram

    def start_text(self, inputs_T: Tensor, num_passages: int) -> tuple[Tensor, Step]:
        """Read a text with each member; each step advances all of them."""
        started = [network.start_text(inputs_T, num_passages) for network in self.networks]
        states = None
        if self.ngram is not None:
            state = self.ngram.start(inputs_T.cpu().numpy())
            states = np.repeat(state[:, None], num_passages, axis=1)

        def step(drawn_B: Tensor) -> Tensor:
            nonlocal states
            if self.ngram is not None and states is not None:
                states = self.ngram.step(states, drawn_B.cpu().numpy())
            return self._mixed([step(drawn_B) for _, step in started], states)

        return self._mixed([logits_BV for logits_BV, _ in started], states), step

    def _mixed(self, logits_MBV: Sequence[Tensor], states: NDArray[np.int64] | None) -> Tensor:
        """Return the logarithms (B, V) of the mixture's probabilities."""
        mixed_BV = torch.zeros_like(logits_MBV[0], dtype=torch.float32)
        for weight, logits_BV in zip(self.weights, logits_MBV, strict=False):
            mixed_BV += weight * logits_BV.float().softmax(dim=-1)
        if self.ngram is not None and states is not None:
            of_ngram = torch.from_numpy(self.ngram.distribution(states)).to(mixed_BV)
            mixed_BV += self.weights[-1] * of_ngram
        return mixed_BV.log()


def mixed_nats(nats_MN: Nats, weights: Sequence[float] | Nats) -> Nats:
    """Return a mixture's cost of each symbol (N,) from its members' costs; N may be any axes."""
    lowest_N = nats_MN.min(axis=0)
    likelihood_N = np.tensordot(np.asarray(weights), np.exp(lowest_N - nats_MN), axes=1)
    mixed_N: Nats = lowest_N - np.log(likelihood_N)
    return mixed_N


def fit_weights(nats_MN: Nats) -> Nats:
    """Return the weights (M,) with which a mixture has the lowest cost on a passage.

    Args:
        nats_MN: Each member's cost of each symbol; finite.
    """
    likelihood_MN = np.exp(nats_MN.min(axis=0) - nats_MN)
    weights = np.full(len(nats_MN), 1 / len(nats_MN))
    before = np.inf
    for _ in range(_MAX_ITERATIONS):
        mixed_N = weights @ likelihood_MN
        nats = -float(np.log(mixed_N).mean())
        if before - nats < _LEAST_STEP_NATS:
            break
        before = nats
        weights = weights * (likelihood_MN / mixed_N).mean(axis=1)
        weights /= weights.sum()
    return weights


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Chosen:
    """The members of a mixture.

    Attributes:
        members: Rows of the candidates, networks first.
        weights: One for each member (M,).
        gains_bits: What the mixture loses without each member, in bits per symbol, with the other
            weights refitted (M,); 0 for a single member.
    """

    members: tuple[int, ...]
    weights: Nats
    gains_bits: Nats

    @classmethod
    def of(cls, nats_CN: Nats, members: Sequence[int]) -> "Chosen":
        """Fit the mixture of the given candidates."""
        members = tuple(sorted(members))
        mean = float(_fitted_nats(nats_CN[[*members]]).mean())
        without = [_fitted_nats(nats_CN[[*rest]]).mean() - mean for rest in _without_one(members)]
        return cls(
            members=members,
            weights=fit_weights(nats_CN[[*members]]),
            gains_bits=np.array(without or [0.0]) / math.log(2),
        )


def choose_members(nats_CN: Nats) -> Chosen:
    """Choose the members of a mixture greedily: add the most useful one while its gain suffices.

    Members whose gain is within noise once the others are present are removed again. At least one
    network is a member.

    Args:
        nats_CN: Each candidate's cost of each symbol of a held-out passage; finite. The last row
            is the n-gram's, the other rows are those of networks.
    """
    ngram = len(nats_CN) - 1
    chosen = [int(nats_CN.mean(axis=1).argmin())]
    now_N = nats_CN[chosen[0]]
    while True:
        is_full = len({*chosen} - {ngram}) == MAX_NETWORKS
        open_to = ({ngram} if is_full else {*range(len(nats_CN))}) - {*chosen}
        tried = {row: _fitted_nats(nats_CN[[*chosen, row]]) for row in sorted(open_to)}
        best = min(tried, key=lambda row: float(tried[row].mean()), default=None)
        if best is None or not is_gain(now_N - tried[best]):
            break
        chosen.append(best)
        now_N = tried[best]
    while len(chosen) > 1:
        rests = [[*rest] for rest in _without_one(chosen)]
        losses = [_fitted_nats(nats_CN[rest]) - now_N for rest in rests]
        least = min(range(len(rests)), key=lambda place: float(losses[place].mean()))
        if is_gain(losses[least]):
            break
        chosen = rests[least]
        now_N = _fitted_nats(nats_CN[chosen])
    if chosen == [ngram]:
        chosen.append(int(nats_CN[:ngram].mean(axis=1).argmin()))
    return Chosen.of(nats_CN, chosen)


def _without_one(members: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield the members without each one in turn; nothing for a single member."""
    if len(members) > 1:
        for member in members:
            yield [other for other in members if other != member]


def _fitted_nats(nats_MN: Nats) -> Nats:
    return mixed_nats(nats_MN, fit_weights(nats_MN))


def is_gain(gained_N: Nats) -> bool:
    """Return whether a gain in nats exceeds noise: MIN_GAIN_BITS and two standard errors."""
    num_blocks = max(_LEAST_BLOCKS, len(gained_N) // _BLOCK_SYMBOLS)
    if len(gained_N) < num_blocks:
        return False
    gain = float(gained_N.mean()) / math.log(2)
    means = np.array([block.mean() for block in np.array_split(gained_N, num_blocks)])
    error = float(means.std(ddof=1)) / math.sqrt(num_blocks) / math.log(2)
    return gain > max(MIN_GAIN_BITS, 2 * error)
