"""The report's section on costs: the fronts of bits against parameters, seconds and speed.

A trial is on a front if no trial of the same or lower cost scores at least as well.
"""

import pandas as pd

from model.errors import ConfigError
from model.system.durations import counted, format_seconds
from model.system.energy import Energy
from tune.records.load import LoadedRun
from tune.records.tables import ranked
from tune.reporting.against import compared_fields
from tune.reporting.confirmation import summary
from tune.reporting.figures.trade_off import trade_offs
from tune.reporting.section import Section, escaped, shown, spread

COSTS = {
    "num_parameters": "parameters",
    "elapsed_seconds": "training seconds",
    "milliseconds_per_char": "ms per character",
}
"""Columns with the costs of a network, and their names in the report."""
_FORMATS = {"num_parameters": ",.0f", "elapsed_seconds": ".1f", "milliseconds_per_char": ".3f"}
_JOULES_PER_KWH = 3.6e6
_NOTE = (
    "These trials are on a Pareto front: no other trial scores better at the same cost or less. "
    "`front` names the costs for which that holds. `training seconds` are those of the trial, as "
    "far as it was trained. `python -m tune.report RUN --max-parameters 1e6` names the best "
    "network up to a size."
)
_SPEED = (
    " `ms per character` is the time to generate a raw character of a single passage on a CPU of "
    "the driver's machine; only the best trials and the baselines were timed."
)


def trade_off(run: LoadedRun) -> Section:
    """Return the section."""
    costs = trial_costs(run)
    fronts = {column: front(costs, column) for column in COSTS}
    on_any = costs[costs["number"].isin(pd.concat(list(fronts.values()))["number"])]
    rows = [
        {
            "trial": row["number"],
            "bits": row["val_bits_per_char"],
            "retrained": spread(row["mean"], row["deviation"]),
            **{name: shown(row[cost], _FORMATS[cost]) for cost, name in COSTS.items()},
            "front": ", ".join(
                name
                for cost, name in COSTS.items()
                if row["number"] in set(fronts[cost]["number"])
            ),
        }
        for row in on_any.to_dict("records")
    ]
    table = pd.DataFrame(rows, dtype=object)
    known = [name for name in table if (table[name] != "").any()]
    note = _NOTE + _SPEED if COSTS["milliseconds_per_char"] in known else _NOTE
    if num_useless := len(ranked(run.trials)) - len(costs):
        note += f" Left out: {counted(num_useless, 'trial')} no better than the n-gram."
    return Section(
        title="Costs and Pareto fronts",
        body=(worked(run), table[known], note),
        page_title="Score against cost",
        caption=(
            "The line is the Pareto front: for each trial above it, another scores at least as "
            "well at the same cost or less."
        ),
        draw=lambda: trade_offs(run, costs, fronts),
    )


def trial_costs(run: LoadedRun) -> pd.DataFrame:
    """Return the trials worth using, best first, with their costs and their spread over seeds.

    These are the trials that beat the n-gram, or all if none does.
    """
    best = ranked(run.trials)
    of_use = best[best["val_bits_per_char"] < run.study.floor_bits_per_char]
    best = best if of_use.empty else of_use
    again = summary(run).set_index("trial")
    return best.assign(
        mean=best["number"].map(again["mean"]).astype("float64"),
        deviation=best["number"].map(again["deviation"]).astype("float64"),
    )


def front(costs: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the trials on the Pareto front of a cost, best first.

    Args:
        costs: As `trial_costs` returns them.
        column: Key of COSTS; trials without a value are left out.
    """
    known = costs[costs[column].notna()].sort_values(["val_bits_per_char", column])
    values = known[column].astype(float)
    return known[values < values.cummin().shift(fill_value=float("inf"))]


def worked_seconds(run: LoadedRun) -> tuple[float, float]:
    """Return the worker-seconds of the trials and of the finalists."""
    return (
        float(run.trials["elapsed_seconds"].sum()),
        float(run.finalists["elapsed_seconds"].sum()),
    )


def worked(run: LoadedRun) -> str:
    """Return the cost of the search so far, in a sentence."""
    trials, finalists = worked_seconds(run)
    again = f" ({finalists / 3_600:.2f} for finalists)" if finalists else ""
    return (
        f"Training took {(trials + finalists) / 3_600:.2f} worker-hours{again}, in "
        f"{format_seconds(run.search_seconds)}.{_used(run.energy)}"
    )


def _used(energy: Energy) -> str:
    """Return the energy of the driver's machine, in a sentence; empty if it is unknown."""
    joules = {"CPUs": energy.cpu_joules, "GPUs": energy.gpu_joules}
    known = {part: each / _JOULES_PER_KWH for part, each in joules.items() if each is not None}
    if not known:
        return ""
    parts = ", ".join(f"{part} {kwh:.3f}" for part, kwh in known.items())
    return (
        f" In {format_seconds(energy.seconds)}, the driver's machine used "
        f"{sum(known.values()):.3f} kWh ({parts}), including other programs."
    )


def best_below(run: LoadedRun, max_parameters: float) -> str:
    """Return the best network up to a size in a sentence, and by how much another is better.

    Args:
        run: The run.
        max_parameters: The most parameters, inclusive.

    Raises:
        ConfigError: No trial has so few.
    """
    costs = trial_costs(run)
    known = costs[costs["num_parameters"].notna()]
    small = known[known["num_parameters"] <= max_parameters]
    if small.empty:
        of_use = " that beats the n-gram" if len(costs) < len(ranked(run.trials)) else ""
        least = f"{known['num_parameters'].min():,}" if len(known) else "unknown"
        raise ConfigError(
            f"--max-parameters must be at least the size of the smallest trial{of_use}, {least}, "
            f"got {max_parameters:,.0f}"
        )
    found, best = small.iloc[0], known.iloc[0]
    again = spread(found["mean"], found["deviation"])
    settings = ", ".join(f"{each} {escaped(shown(found[each]))}" for each in compared_fields(run))
    text = (
        f"The best network of at most {max_parameters:,.0f} parameters is trial "
        f"{found['number']}: "
        f"{found['val_bits_per_char']:.4f} bits per character"
        f"{f' (retrained: {again})' if again else ''}, {found['num_parameters']:,} parameters, "
        f"{format_seconds(found['elapsed_seconds'])} of training; {settings}."
    )
    if found["number"] == best["number"]:
        return f"{text} It is also the best of any size."
    gap = found["val_bits_per_char"] - best["val_bits_per_char"]
    return (
        f"{text} It scores {gap:.4f} bits more than trial {best['number']}, which has "
        f"{best['num_parameters']:,} parameters."
    )
