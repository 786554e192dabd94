"""The samplers by name: Optuna's own, each set up for a parallel search with conditional axes.

A sampler is made anew for each proposal, from the search's seed and the trial's number, so that
a resumed search proposes what the uninterrupted one would have. What CMA-ES must remember besides,
its distribution, it keeps in the study.

Sources: Bergstra 2011 (TPE); Ginsbourger 2010 (constant liar, for trials that still run);
Hansen 2016, arXiv:1604.00772 (CMA-ES); Sobol 1967 (QMC).
"""

import math
import warnings
from typing import TYPE_CHECKING

from model.errors import ConfigError, unknown_choice

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from tune.thinned_study import Thinning

SAMPLERS = ("tpe-univariate", "tpe", "random", "qmc", "gp", "cmaes")
AUTO = "auto"
"""The default: by how many trials run at once, which is not known before there are nodes."""

STATE_PREFIX = "cma:"
"""Of the system attributes of Optuna's trials in which CMA-ES keeps its distribution."""

MAX_STARTUP_TRIALS = 10
STARTUP_SHARE = 0.25
"""Trials before a model is used; baselines and the base count among them. They are points of a
Sobol sequence: on recorded curves, with 4 workers, half of the budget then leaves a median regret
of 0.057 bits, after random ones 0.066 (LOG.md, 2026-11-25)."""


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

    On recorded curves TPE over all axes together ends a tenth lower than TPE of each axis by
    itself with one worker, and a tenth higher with 4 and 16 (benchmarks/README.md).
    """
    return "tpe" if num_concurrent == 1 else "tpe-univariate"


def make_thinning(name: str) -> "Thinning":
    """Return the thinning of one search, by its sampler's name."""
    from tune.thinned_study import Thinning

    # optuna 5.0's Gaussian process knows complete trials alone. Of the first 50 of `full` with
    # ASHA 13 are: most proposals so far would be random.
    return Thinning(pruned_as_complete=name == "gp")


def make_sampler(
    name: str, *, seed: int, number: int, num_first: int, num_trials: int, thinning: "Thinning"
) -> "BaseSampler":
    """Return the sampler of one proposal.

    Args:
        name: One of SAMPLERS.
        seed: The search's seed.
        number: The trial's number.
        num_first: Trials that are not proposed but given, the search's first.
        num_trials: Trials of the whole search: a short one begins with fewer quasi-random ones.
        thinning: What make_thinning gave, one for all proposals of a search.
    """
    from optuna import exceptions, samplers

    from model.seeds import hash_seed
    from tune.numbered_qmc import NumberedQMCSampler
    from tune.thinned_study import ThinnedSampler

    own_seed = hash_seed(seed, number) % 2**32
    startup_trials = min(MAX_STARTUP_TRIALS, math.ceil(STARTUP_SHARE * num_trials))
    if name != "random" and number < startup_trials:
        name = "qmc"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exceptions.ExperimentalWarning)
        tpe = samplers.TPESampler(
            n_startup_trials=startup_trials,
            multivariate=name == "tpe",
            group=name == "tpe",
            constant_liar=True,
            seed=own_seed,
        )
        random = samplers.RandomSampler(seed=own_seed)
        match name:
            case "tpe" | "tpe-univariate":
                return ThinnedSampler(tpe, thinning)
            case "random":
                return random
            case "qmc":
                return NumberedQMCSampler(
                    max(0, number - num_first),
                    seed=hash_seed(seed) % 2**32,
                    independent_sampler=random,
                )
            case "gp":
                process = samplers.GPSampler(
                    seed=own_seed,
                    independent_sampler=random,
                    n_startup_trials=startup_trials,
                    warn_independent_sampling=False,
                )
                return ThinnedSampler(process, thinning)
            case "cmaes":
                # It has no categories and no conditions: those axes are TPE's. It copies each
                # pruned trial for each proposal: 0.06 s after 1,000 trials of `full`.
                return samplers.CmaEsSampler(
                    seed=own_seed,
                    n_startup_trials=startup_trials,
                    independent_sampler=tpe,
                    consider_pruned_trials=True,
                    warn_independent_sampling=False,
                )
            case _:
                raise AssertionError(f"not a sampler: {name!r}")
