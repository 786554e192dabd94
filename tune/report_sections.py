"""Sections of report.md, each made from the tables alone; the page has two of them too."""

from typing import Any

import pandas as pd

from model.system.durations import format_seconds
from search_spaces import SearchSpace
from tune.importance import axis_importances
from tune.markdown import section
from tune.records.trial import Status


def best_of_each_cleaning(best: pd.DataFrame, study: dict[str, Any]) -> str:
    """Return the section on cleanings: restored and own bits, prices, floors.

    Args:
        best: The measured trials, best first.
        study: What study.json holds.
    """
    floors = study["objective"]["floors"]
    prices = study["objective"]["restoration_bits_per_char"]
    rows = []
    for cleaning, price in prices.items():
        of_cleaning = best[best["cleaning"] == cleaning]
        first = of_cleaning.iloc[0] if not of_cleaning.empty else None
        rows.append(
            {
                "cleaning": cleaning,
                "best trial": "" if first is None else str(first["number"]),
                "restored bits": None if first is None else first["val_bits_per_char"],
                "own bits": None if first is None else first["val_own_bits_per_char"],
                "restoration price": price,
                "floor": floors[cleaning]["validation_bits_per_char"] + price,
                "floor, own text": floors[cleaning]["validation_bits_per_char"],
            }
        )
    note = (
        "Restored bits are compared: own bits and what the cleaning dropped, at the floor "
        "model's price, per raw character. Own bits, per cleaned character, fall with every "
        "symbol that is dropped. Both floor columns are per raw character."
    )
    return section("The best of each cleaning, and the floor", pd.DataFrame(rows), note)


def baselines_section(trials: pd.DataFrame, epochs: pd.DataFrame, space: SearchSpace) -> str:
    """Return the section on the baselines, beside what their source reports of them."""
    rows = []
    for baseline in space.baselines:
        ours = trials[trials["baseline"] == baseline.name]
        row: dict[str, Any] = {"baseline": baseline.name, "status": "not run"}
        if not ours.empty:
            trial = ours.iloc[0]
            last = epochs[epochs["number"] == trial["number"]].tail(1)
            row |= {
                "status": trial["status"],
                "val_bits_per_char": trial["val_bits_per_char"],
                "own bits": trial["val_own_bits_per_char"],
                "training loss": None if last.empty else last["train_nats_per_char"].iloc[0],
                "seconds": trial["elapsed_seconds"],
            }
        row["documented loss"] = baseline.documented_nats_per_char
        row["documented seconds"] = baseline.documented_seconds
        rows.append(row)
    if not rows:
        return "## Baselines\n\nThe space has none."
    note = (
        "Training losses are in nats per own character, dropout on, of the last epoch. The "
        "documented ones are of the same settings in the reference's own way of training."
    )
    return section("Baselines", pd.DataFrame(rows), note)


def pruned_section(trials: pd.DataFrame) -> str:
    """Return the section on what ASHA stopped, by the epoch."""
    pruned = trials[trials["status"] == Status.PRUNED.value]
    groups = pruned.groupby("epochs_run")["val_bits_per_char"]
    table = groups.agg(["count", "min", "median", "max"]).reset_index()
    table = table.rename(columns={"epochs_run": "after epoch", "count": "trials"})
    return section("What was pruned when", table)


def progress_section(epochs: pd.DataFrame) -> str:
    """Return the section on who led from when on."""
    ordered = epochs.sort_values("search_seconds", ignore_index=True)
    before = ordered["val_bits_per_char"].cummin().shift(fill_value=float("inf"))
    better = ordered[ordered["val_bits_per_char"] < before]
    # One row for each trial that took the lead, with the last value it led with.
    leads = (better["number"] != better["number"].shift()).cumsum()
    last = better.groupby(leads).tail(1)
    table = pd.DataFrame(
        {
            "after": [format_seconds(seconds) for seconds in last["search_seconds"]],
            "trial": last["number"].to_list(),
            "epoch": last["epoch"].to_list(),
            "best so far": last["val_bits_per_char"].to_list(),
        }
    )
    return section("How the best value fell", table)


def importance_section(trials: pd.DataFrame, space: SearchSpace) -> str:
    """Return the section on which axis mattered."""
    shares = axis_importances(trials, space)
    if not shares:
        return "## Importance of each axis\n\nToo few different trials to tell."
    table = pd.DataFrame({"axis": list(shares), "share": list(shares.values())})
    note = "PED-ANOVA over all measured trials; those that ASHA stopped blur `epochs`."
    return section("Importance of each axis", table, note)
