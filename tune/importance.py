"""Which axis mattered: PED-ANOVA over the trials of a search.

Source: Watanabe 2023, arXiv:2304.10255, as Optuna implements it.
"""

import math
import warnings

import optuna
import pandas as pd
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import create_trial

from search_spaces import SearchSpace

MIN_TRIALS = 8
"""With fewer measured trials the shares say nothing."""


def axis_importances(trials: pd.DataFrame, space: SearchSpace) -> dict[str, float]:
    """Return each axis' share in what separates good trials from bad, largest first.

    Trials that ASHA stopped count with their best value so far, which blurs `epochs`. Axes
    that not all trials have are left out.

    Args:
        trials: The trials table.
        space: What was searched.

    Returns:
        Shares that sum to 1; empty if there are too few trials or they are all equal.
    """
    measured = trials[trials["val_bits_per_char"].notna()]
    if len(measured) < MIN_TRIALS or not space.distributions:
        return {}
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="minimize")
    for _, row in measured.iterrows():
        params = space.point({axis: _plain(row[axis]) for axis in space.distributions})
        value = float(row["val_bits_per_char"])
        study.add_trial(
            create_trial(
                params=params,
                distributions={axis: space.distributions[axis] for axis in params},
                value=value,
            )
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        evaluator = PedAnovaImportanceEvaluator()
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {} if any(math.isnan(share) for share in shares.values()) else shares


def _plain(value: object) -> object:
    return value.item() if hasattr(value, "item") else value
