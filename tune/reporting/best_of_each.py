"""The report's sections on the best of each cleaning, and of each group that ASHA kept apart."""

from typing import Any

import pandas as pd

from tune.records.load import LoadedRun
from tune.records.tables import of_group, ranked
from tune.records.trial import Status
from tune.reporting.confirmation import summary
from tune.reporting.section import Section, spread


def best_of_each_cleaning(run: LoadedRun) -> Section:
    """Return the section on cleanings: restored and own bits, prices, floors."""
    best = ranked(run.trials)
    floors = run.study.objective.floors
    rows = []
    for cleaning, price in run.study.objective.restoration_bits_per_char.items():
        of_cleaning = best[best["cleaning"] == cleaning]
        first = of_cleaning.iloc[0] if not of_cleaning.empty else None
        rows.append(
            {
                "cleaning": cleaning,
                "best trial": "" if first is None else str(first["number"]),
                "restored bits": None if first is None else first["val_bits_per_char"],
                "own bits": None if first is None else first["val_own_bits_per_char"],
                "restoration price": price,
                "floor": floors[cleaning].validation_bits_per_char + price,
                "floor, own text": floors[cleaning].validation_bits_per_char,
            }
        )
    note = (
        "Cleanings are compared by restored bits per raw character: own bits plus the floor "
        "model's price for what the cleaning dropped. Own bits are per cleaned character and "
        "fall with every symbol dropped. Both floor columns are per raw character."
    )
    return Section(
        title="The best of each cleaning, and the floor", body=(pd.DataFrame(rows), note)
    )


def best_of_each_group(run: LoadedRun) -> Section | None:
    """Return the section on the groups within which ASHA compares; None if it compares all."""
    names, groups = run.space.budget.compare_within, run.space.groups()
    if len(groups) < 2:
        return None
    best, again = ranked(run.trials), summary(run)
    rows = []
    for group in groups:
        values = dict(zip(names, group, strict=True))
        trials, measured = (of_group(frame, values) for frame in (run.trials, best))
        retrained = again[again["trial"].isin(trials["number"])]
        row: dict[str, Any] = {
            **values,
            "trials": len(trials),
            "stopped by ASHA": int((trials["status"] == Status.PRUNED.value).sum()),
            "best trial": "",
            "restored bits": None,
            "retrained, best mean": "",
        }
        if not measured.empty:
            first = measured.iloc[0]
            row |= {
                "best trial": str(first["number"]),
                "restored bits": first["val_bits_per_char"],
            }
        if not retrained.empty:
            row["retrained, best mean"] = spread(*retrained.iloc[0][["mean", "deviation"]])
        rows.append(row)
    each = " and ".join(names)
    note = (
        f"ASHA compared trials only within the same {each}. The sampler chose how many trials "
        f"each got; more trials are more chances."
    )
    return Section(title=f"The best of each {each}", body=(pd.DataFrame(rows), note))
