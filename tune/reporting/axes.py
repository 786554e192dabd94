"""The axes of a search: how much each matters, and whether the best trials lie at its edge.

Sources: Watanabe 2023, arXiv:2304.10255 (PED-ANOVA, as Optuna implements it); Efron 1979,
"Bootstrap Methods: Another Look at the Jackknife".
"""

import dataclasses
import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.trial import FrozenTrial, create_trial

from model.config import TrialConfig
from model.errors import ConfigError
from search_spaces import SearchSpace
from search_spaces.distributions import boundary_of, nearest
from tune.records.load import LoadedRun
from tune.records.tables import config_of, ranked

BEST_SHARE = 0.1
MIN_BEST = 5
"""PED-ANOVA compares the best tenth with all; with fewer, Optuna 5.0 calls it unstable."""
MIN_TRIALS = 8
"""Fewest measured trials for meaningful shares."""
RESAMPLES = 20
"""A resample of 1,000 trials takes 0.2 s."""
MIDDLE = (0.1, 0.9)
NUM_BEST = 10
"""Number of best trials examined; with fewer, there is no note."""
LEAST_COUNT = 5
"""How many of the ten best must lie at an edge for a note. Of ten random draws from five choices,
as many do in 3 of 100 searches."""


def axis_shares(run: LoadedRun, *, resamples: int = 0) -> pd.DataFrame:
    """Return each axis's share in separating good trials from bad, largest first.

    Trials that ASHA stopped count with their best value so far, which blurs the effect of
    `epochs`. Axes that not all trials have, or with one value, are left out. A resample draws as
    many trials as there are, with replacement; its spread shows how much a share depends on which
    trials the search happened to run.

    Args:
        run: The run; its seed also seeds the draws.
        resamples: How many; 0 gives shares without a spread.

    Returns:
        The columns axis, share (they sum to 1), low and high: the 0.1 and 0.9 quantiles of the
        share over resamples, None without. No rows if there are too few trials or they are all
        equal.
    """
    measured = _frozen_trials(run)
    shares = _shares(measured)
    generator = np.random.default_rng(run.study.settings.seed)
    drawn: dict[str, list[float]] = {axis: [] for axis in shares}
    for _ in range(resamples if shares else 0):
        indices = generator.integers(len(measured), size=len(measured))
        # Empty if all drawn scores are equal; an axis constant in the drawn trials has share 0.
        resampled = _shares([measured[index] for index in indices])
        for axis, of_axis in drawn.items():
            of_axis += [resampled.get(axis, 0.0)] if resampled else []
    rows = []
    for axis, share in shares.items():
        low, high = np.quantile(drawn[axis], MIDDLE).tolist() if drawn[axis] else (None, None)
        rows.append((axis, share, low, high))
    return pd.DataFrame(rows, columns=["axis", "share", "low", "high"])


def _frozen_trials(run: LoadedRun) -> list[FrozenTrial]:
    """Return the measured trials as Optuna's; empty if there are too few."""
    space = run.space
    measured = run.trials[run.trials["val_bits_per_char"].notna()]
    if len(measured) < MIN_TRIALS or not space.distributions:
        return []
    left_out = {*constant_axes(run), *partial_axes(run)}
    columns = [*space.distributions, "val_bits_per_char"]
    frozen = []
    for row in measured[columns].astype(object).to_dict("records"):
        value = row.pop("val_bits_per_char")
        params = space.point({str(axis): chosen for axis, chosen in row.items()})
        distributions = {
            a: d for a, d in space.distributions.items() if a in params.keys() - left_out
        }
        # A time budget leaves fewer epochs than the axis has.
        params = {axis: nearest(distributions[axis], params[axis]) for axis in distributions}
        frozen.append(create_trial(params=params, distributions=distributions, value=value))
    return frozen


def constant_axes(run: LoadedRun) -> list[str]:
    """Return the axes with one value in all measured trials, which cannot have mattered.

    PED-ANOVA of Optuna 5.0 gives an axis with a single value half of the importance.
    """
    measured = run.trials[run.trials["val_bits_per_char"].notna()]
    return [
        axis
        for axis, distribution in run.space.distributions.items()
        if distribution.single() or measured[axis].nunique(dropna=False) <= 1
    ]


def partial_axes(run: LoadedRun) -> list[str]:
    """Return the axes that some measured trials have and others do not.

    PED-ANOVA of Optuna 5.0 compares only the trials with the axis: one that 27 of 35 trials had
    came first, with 0.40.
    """
    measured = run.trials[run.trials["val_bits_per_char"].notna()]
    constant = constant_axes(run)
    return [
        axis
        for axis in run.space.conditions
        if axis not in constant and not all(have_axis(measured, axis, run.space))
    ]


def have_axis(trials: pd.DataFrame, axis: str, space: SearchSpace) -> list[bool]:
    """Return of each trial whether it has an axis, which may depend on another's value."""
    axes = [other for other in space.distributions if other in trials]
    rows = trials[axes].to_dict("records")
    return [space.exists(axis, {str(other): row[other] for other in row}) for row in rows]


def num_best_tenth(run: LoadedRun) -> int:
    """Return how many trials PED-ANOVA counts as the best tenth, ties included."""
    scores = run.trials["val_bits_per_char"].dropna()
    return len(scores.nsmallest(math.ceil(BEST_SHARE * len(scores)), keep="all"))


def _shares(measured: Sequence[FrozenTrial]) -> dict[str, float]:
    if not measured or not any(trial.params for trial in measured):
        return {}
    from optuna.importance import PedAnovaImportanceEvaluator  # 1 s: scikit-learn and scipy

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="minimize")
    study.add_trials(measured)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # optuna 5.0 warns of few or equal trials.
        warnings.simplefilter("ignore", UserWarning)
        evaluator = PedAnovaImportanceEvaluator(target_quantile=BEST_SHARE)
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    if any(math.isnan(share) for share in shares.values()):
        return {}
    # Optuna orders equal shares as in a set, which differs between processes.
    return dict(sorted(shares.items(), key=lambda item: (-item[1], item[0])))


def boundary_notes(run: LoadedRun) -> list[str]:
    """Return a line that names the axes at whose edge most of the best trials lie, or nothing.

    A bound that no configuration can cross, such as zero dropout, does not count.
    """
    found = ranked(run.trials)
    best = found[found["baseline"].isna()].head(NUM_BEST)
    if len(best) < NUM_BEST:
        return []
    config = config_of(best.iloc[0])
    parts = []
    for axis, distribution in run.space.distributions.items():
        values = best.loc[have_axis(best, axis, run.space), axis]
        for bound in boundary_of(distribution):
            count = sum(map(bound.has, values))
            if count >= LEAST_COUNT and _is_possible(config, axis, bound.beyond):
                parts.append(f"the {bound.name} {axis}, {bound.bound:g} ({count} of {NUM_BEST})")
    if not parts:
        return []
    said = " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
    return [
        f"edge: most of the best trials have {said} that the space allows; a wider space may "
        f"contain better ones."
    ]


def _is_possible(config: TrialConfig, axis: str, value: Any) -> bool:
    """Return whether such a value is valid in a configuration."""
    try:
        dataclasses.replace(config, **{axis: value})
    except ConfigError:
        return False
    return True
