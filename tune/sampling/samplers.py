"""The samplers by name: Optuna's, each set up for a parallel search with conditional axes.

A new sampler is made for each proposal, from the search's seed and the trial's number, so that
a resumed search proposes what the uninterrupted one would have.

Sources: Bergstra 2011 (TPE); Ginsbourger 2010 (constant liar, for trials that still run);
Hansen 2016, arXiv:1604.00772 (CMA-ES); Sobol 1967 (QMC); Mallik 2023,
arXiv:2306.12370 (PriorBand: proposals near what is known to be good).
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
SAMPLERS = (*TPE, "random", "qmc", "gp", "cmaes")
AUTO = "auto"
"""The default: by how many trials run at once, which is not known before there are nodes."""
GENERATION = "cma:generation"
"""System attribute of Optuna's trials, a number: the generation of CMA-ES that they belong to."""
MAX_STARTUP_TRIALS = 10
STARTUP_SHARE = 0.25
"""Trials that end before a model is used; baselines and starts count among them. Until then TPE's
lie near a start; with others, `random` aside, or without a start they are points of a Sobol
sequence."""
NEAR_BEST_SHARE, NEAR_BEST_MOVED = 1 / 3, 0.5
"""Share of TPE's later proposals that move an axis of the best so far, and mean share of its other
axes that move with it. With 4
workers both together leave 39 thousandths of a bit on recorded curves, where 44 were left, and 75
after a quarter of the budget, where 88 were (LOG.md, 2026-11-26)."""

ATTEMPTS, ATTEMPTS_OF_MODEL = 8, 4
"""Proposals for a trial until it may be a configuration that was tried before."""


def check_sampler(name: str) -> str:
    """Return the name if a sampler has it, or if it is AUTO.

    Raises:
        ConfigError: None has.
    """
    if name not in (AUTO, *SAMPLERS):
        raise ConfigError(unknown_choice("sampler", name, (AUTO, *SAMPLERS)))
    return name


def default_sampler(num_concurrent: int) -> str:
    """Return what AUTO is, by how many trials run at once.

    On recorded curves TPE over all axes together was ahead of TPE of each axis by itself with
    one worker, and behind with two and with 4 (LOG.md, 2026-11-26).
    """
    return "tpe" if num_concurrent == 1 else "tpe-univariate"


def make_thinning(name: str) -> "Thinning | None":
    """Return the thinning of one search by its sampler's name; None if it looks at no trials."""
    from tune.sampling.thinned_study import Thinning

    if name == "cmaes":  # the TPE of its categories, which are few
        return Thinning(most=sys.maxsize)
    if name not in (*TPE, "gp"):
        return None
    # optuna 5.0's Gaussian process knows complete trials alone. Of the first 50 of `full` with
    # ASHA 13 are: most proposals so far would be random.
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
        space: What is searched. The first of a search of few trials are fewer.
        seed: The search's seed.
        number: The trial's number.
        num_ended: How many trials have ended: a model is used once there are enough.
        num_baselines: How many trials before it are baselines.
        attempt: How many proposals for it were configurations that had been tried; later ones are
            drawn at random.
        replay: What this search has told CMA-ES; None is nothing.
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
    own_seed = hash_seed(seed, number, *[attempt] * (attempt > 0)) % 2**32
    startup_trials = min(MAX_STARTUP_TRIALS, math.ceil(STARTUP_SHARE * space.budget.trials))
    # By the trials that are known: with 16 workers the eleventh begins when none is.
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
                return random  # a trial has one point of the sequence
            return NumberedQMCSampler(
                max(0, number - num_baselines - len(starts)),
                qmc_type="sobol",
                seed=hash_seed(seed) % 2**32,
                independent_sampler=random,
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
            # It has no categories and no conditions: those axes are TPE's.
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
