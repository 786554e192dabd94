"""The samplers by name: Optuna's, each set up for a parallel search with conditional axes.

A new sampler is made for each proposal, from the search's seed and the trial's number, so that
a resumed search proposes what the uninterrupted one would have.

Sources: Bergstra 2011 (TPE); Ginsbourger 2010 (constant liar, for running trials);
Hansen 2016, arXiv:1604.00772 (CMA-ES); Sobol 1967 (QMC); Mallik 2023,
arXiv:2306.12370 (PriorBand: proposals near known good configurations).
"""

import math
import sys
import warnings
from typing import TYPE_CHECKING

from model.errors import ConfigError, unknown_choice

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from search_spaces import SearchSpace
    from tune.sampling.own_samplers import Replay
    from tune.sampling.thinned_study import Thinning

TPE = ("tpe-univariate", "tpe")
LEARNING_NOTHING = ("random", "qmc")
"""Samplers whose proposals follow from no trial; all others are shown those that failed."""
SAMPLERS = (*TPE, *LEARNING_NOTHING, "gp", "cmaes")
AUTO = "auto"
"""The default: depends on how many trials run at once, which is unknown until nodes exist."""
GENERATION = "cma:generation"
"""System attribute of Optuna's trials: the number of their CMA-ES generation."""
MAX_STARTUP_TRIALS = 10
STARTUP_SHARE = 0.25
"""Share of trials, including baselines and starts, that must end before a model is used. Until
then, TPE's proposals lie near a start; without a start, or with another sampler (not `random`),
they are points of a Sobol sequence."""
NEAR_BEST_SHARE, NEAR_BEST_MOVED = 1 / 3, 0.5
"""Share of TPE's later proposals that move an axis of the best so far, and mean share of the other
axes that move too. On recorded curves with 4 workers, both together reduce the regret from 44
thousandths of a bit to 39, and after a quarter of the budget from 88 to 75 (LOG.md, 2026-11-26).
"""

ATTEMPTS, ATTEMPTS_OF_MODEL = 8, 4
"""Proposals per trial before one that was tried is accepted; how many of them use a model."""


def check_sampler(name: str) -> None:
    """Refuse a name that is neither a sampler's nor AUTO.

    Raises:
        ConfigError: It is neither.
    """
    if name not in (AUTO, *SAMPLERS):
        raise ConfigError(unknown_choice("sampler", name, (AUTO, *SAMPLERS)))


def default_sampler(num_concurrent: int) -> str:
    """Return what AUTO means for a number of concurrent trials.

    On recorded curves, joint TPE was ahead of univariate TPE with one worker, and behind with two
    and with 4 (LOG.md, 2026-11-26).
    """
    return "tpe" if num_concurrent == 1 else "tpe-univariate"


def make_thinning(name: str) -> "Thinning | None":
    """Return the thinning for a search with this sampler; None if that ignores earlier trials."""
    from tune.sampling.thinned_study import Thinning

    if name in LEARNING_NOTHING:
        return None
    if name == "cmaes":  # for the TPE of its few categorical axes
        return Thinning(most=sys.maxsize)
    # optuna 5.0's Gaussian process uses only complete trials. Of the first 50 of `full` with ASHA,
    # 13 are complete: most proposals until then would be random.
    return Thinning(pruned_as_complete=name == "gp")


def make_sampler(
    name: str,
    space: "SearchSpace",
    *,
    seed: int,
    number: int,
    num_ended: int,
    num_baselines: int = 0,
    attempt: int = 0,
    replay: "Replay | None" = None,
) -> "BaseSampler":
    """Return the sampler of one proposal.

    Args:
        name: One of SAMPLERS.
        space: The search space; its number of trials limits the first ones.
        seed: The search's seed.
        number: The trial's number.
        num_ended: Number of ended trials; with enough of them, a model is used.
        num_baselines: Number of baselines before this trial.
        attempt: Number of proposals for this trial that had been tried before; later ones are
            drawn at random.
        replay: What this search has told CMA-ES; None for nothing.
    """
    import numpy as np
    from optuna import exceptions, samplers

    from model.system.seeds import hash_seed
    from tune.sampling.own_samplers import (
        NearSampler,
        NumberedQMCSampler,
        Replay,
        ReplayedCmaEsSampler,
    )

    starts, axes = space.all_starts(), space.distributions
    own_seed = hash_seed(seed, number, *([attempt] if attempt else [])) % 2**32
    startup_trials = min(MAX_STARTUP_TRIALS, math.ceil(STARTUP_SHARE * space.budget.trials))
    # Counts ended trials, not the number: with 16 workers, the eleventh starts before any ends.
    is_early = num_ended < startup_trials
    generator = np.random.default_rng(own_seed)
    random = samplers.RandomSampler(seed=own_seed)
    if name == "random" or attempt >= ATTEMPTS_OF_MODEL:
        return random
    if is_early and name in TPE and starts:
        start = starts[int(generator.integers(len(starts)))]
        return NearSampler(start, axes=axes, moved_share=1.0, generator=generator, seed=own_seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exceptions.ExperimentalWarning)
        if is_early or name == "qmc":
            if attempt:
                return random  # a trial has only one point of the sequence
            return NumberedQMCSampler(
                max(0, number - num_baselines - len(starts)),
                qmc_type="sobol",
                scramble=True,
                seed=hash_seed(seed) % 2**32,  # the same for all trials
                independent_sampler=random,  # for axes that the first trial lacked
                warn_independent_sampling=False,
            )
        tpe = samplers.TPESampler(
            n_startup_trials=startup_trials,
            multivariate=name == "tpe",
            group=name == "tpe",
            constant_liar=True,
            seed=own_seed,
        )
        if name == "gp":
            return samplers.GPSampler(
                seed=own_seed,
                independent_sampler=random,
                n_startup_trials=startup_trials,
                warn_independent_sampling=False,
            )
        if name == "cmaes":
            # CMA-ES has no categories and no conditions: TPE samples those axes.
            return ReplayedCmaEsSampler(
                replay or Replay(),
                seed=own_seed,
                n_startup_trials=startup_trials,
                independent_sampler=tpe,
                consider_pruned_trials=True,
                warn_independent_sampling=False,
            )
    assert name in TPE, name
    if generator.random() >= NEAR_BEST_SHARE:
        return tpe
    return NearSampler(
        None, axes=axes, moved_share=NEAR_BEST_MOVED, generator=generator, seed=own_seed
    )
