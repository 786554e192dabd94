"""The winner's rival: the best baseline, compared after equal epochs if it was cut off."""

import pandas as pd

from model.system.durations import counted
from tune.records.load import LoadedRun
from tune.records.tables import ranked
from tune.records.trial import Status


def best_baseline(run: LoadedRun) -> pd.Series | None:
    """Return the baseline with the lowest score; None where none was measured."""
    best = ranked(run.trials)
    rivals = best[best["baseline"].notna()]
    return None if rivals.empty else rivals.iloc[0]


def compared_fields(run: LoadedRun) -> list[str]:
    """Return the axes, and the fields of `other_fields`."""
    return [*run.space.axes, *other_fields(run)]


def other_fields(run: LoadedRun) -> dict[str, str]:
    """Return the fields that are no axis but differ in baselines, with their values in words."""
    base = run.space.base.to_dict()
    found = {
        field: f"{field} {value} (other trials: {base[field]})"
        for baseline in run.space.baselines
        for field, value in baseline.params.items()
        if field not in run.space.axes and value != base[field]
    }
    return dict(sorted(found.items()))


def as_far_as(trial: pd.Series) -> str:
    """Return how far an unfinished baseline was trained; empty for a finished one."""
    if trial["status"] not in (Status.STOPPED.value, Status.RUNNING.value):
        return ""
    return f"{trial['epochs_run']:g} of {counted(float(trial['epochs']), 'epoch')}"


def winner_then(run: LoadedRun, rival: pd.Series) -> str:
    """Return the winner's lowest score in its first epochs, as many as another trial ran."""
    winner = ranked(run.trials).iloc[0]
    epochs = run.epochs[
        (run.epochs["number"] == winner["number"]) & (run.epochs["epoch"] <= rival["epochs_run"])
    ]
    num_epochs = counted(float(epochs["epoch"].max()), "epoch")
    return f"{float(epochs['val_bits_per_char'].min()):.4f} after {num_epochs}"
