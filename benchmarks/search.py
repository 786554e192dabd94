"""Who finds better models sooner: `python -m benchmarks.search`.

Searches are replayed on a landscape made from recorded curves (landscape.py), on simulated workers
with the true durations. Every method has the same worker seconds, so with more workers it has
less time. Our settings were chosen on the landscape of one half of the recorded curves
(`--world choose`, the even numbers); the tables are for those of the odd numbers and of a
second text.

Regret is the best value found minus the lowest value of the landscape. Intervals are bootstrapped
over seeds.
"""

import argparse
import multiprocessing
import time
from collections.abc import Iterable

import numpy as np
import optuna
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.landscape import Fit, Landscape
from benchmarks.record_curves import CURVES, recorded_space
from benchmarks.search_methods import METHODS, SLOW
from benchmarks.simulation import simulate

Array = NDArray[np.float64]

TRAININGS = 25
"""The budget: worker seconds for this many full trainings of an average configuration."""
GRID = 200
"""Points of the budget at which regrets are compared."""
MARKS = (0.1, 0.25, 0.5, 1.0)
OURS = "ours"
"""The method with which the others are compared, unless another of ours is named."""
RESAMPLES = 2_000

Job = tuple[str, int, int]
"""Method, workers, seed."""


TEXTS = ("alice", "python-docs")
FOLDS = 4
"""The second text has few curves: its landscape uses all, and is validated fold by fold."""

Tables = tuple[pd.DataFrame, pd.DataFrame | None]
"""The curves from which a landscape is made, and those of another text from which it learns."""


def tables(world: str) -> tuple[Tables, list[tuple[Tables, pd.DataFrame]]]:
    """Return the curves from which a landscape is made, and those that validate its surrogate.

    The latter are pairs: the curves of a surrogate, and curves of configurations that it has
    never seen.
    """
    first, second = _recorded()
    chosen = first["configuration"] % 2 == int(world == "choose")
    if world != "second":
        return (first[~chosen], None), [((first[~chosen], None), first[chosen])]
    other = first[~chosen]
    folds: list[tuple[Tables, pd.DataFrame]] = []
    for fold in range(FOLDS):
        judges = second["configuration"] % FOLDS == fold
        unseen = ~other["configuration"].isin(second["configuration"][judges])
        folds.append(((second[~judges], other[unseen]), second[judges]))
    return (second, other), folds


def _recorded() -> tuple[pd.DataFrame, pd.DataFrame]:
    first, second = (pd.read_parquet(CURVES / f"{name}.parquet") for name in TEXTS)
    return first, second


def agreement(table: pd.DataFrame, other: pd.DataFrame) -> tuple[float, int]:
    """Return the rank correlation of the configurations that both have, and their number."""
    best = [each.groupby("configuration")["val_bits_per_char"].min() for each in (table, other)]
    both = best[0].index.intersection(best[1].index)
    return float(best[0][both].corr(best[1][both], method="spearman")), len(both)


def made_of(tables: Tables) -> Landscape:
    """Return the landscape made from curves."""
    return Landscape(tables[0], recorded_space(), other_text=tables[1])


_landscape: Landscape


def _begin(tables: Tables) -> None:
    global _landscape
    # One process per core: with more threads, small matrices take up to 20 times as long.
    threadpool_limits(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    _landscape = made_of(tables)


def replay(job: Job) -> Array:
    """Return a search's regret at GRID evenly spaced points of its budget."""
    name, num_workers, seed = job
    budget_seconds = TRAININGS * _landscape.full_seconds / num_workers
    method = METHODS[name](recorded_space(), _landscape.num_epochs, seed, num_workers)
    found = simulate(method, _landscape, num_workers=num_workers, budget_seconds=budget_seconds)
    points = budget_seconds * np.arange(1, GRID + 1) / GRID
    return np.array([found.best_at(point) for point in points]) - _landscape.best


def interval(values: Array, generator: np.random.Generator) -> tuple[float, float]:
    """Return the bootstrapped 95 % interval of the median."""
    resampled = generator.choice(values, (RESAMPLES, len(values)))
    low, high = np.quantile(np.median(resampled, axis=1), [0.025, 0.975])
    return float(low), float(high)


def share_to_reach(regrets: Array, target: float) -> float:
    """Return the share of the budget after which the median regret reaches a target.

    NaN if it never does.
    """
    reached = np.flatnonzero(np.median(regrets, axis=0) <= target)
    return float((reached[0] + 1) / GRID) if len(reached) else float("nan")


def reach(ours: Array, other: Array, generator: np.random.Generator) -> str:
    """Return the share of the budget at which ours equals another's end, with its 95 % interval.

    Args:
        ours: Regret of each seed at each point of the budget.
        other: The other's regret with the same seeds, which are resampled together.
        generator: Generator for the bootstrap.
    """
    num_seeds = len(ours)
    rows = [np.arange(num_seeds), *generator.integers(num_seeds, size=(RESAMPLES, num_seeds))]
    share, *resampled = (
        share_to_reach(ours[row], float(np.median(other[row, -1]))) for row in rows
    )
    # A share beyond the budget is unknown: it is larger than all others.
    low, high = np.quantile(np.nan_to_num(resampled, nan=np.inf), [0.025, 0.975], method="nearest")
    if np.isinf(low):
        return _percent(low)
    return f"{_percent(share)} ({_percent(low)}-{_percent(high)})"


def _percent(share: float) -> str:
    return f"{share:.0%}" if np.isfinite(share) else "not reached"


def print_table(num_workers: int, regrets: dict[str, Array], ours: str = OURS) -> None:
    """Print one row per method, compared with one of them."""
    generator = np.random.default_rng(0)
    columns = [int(mark * GRID) - 1 for mark in MARKS]
    marks = " | ".join(f"{mark:.0%}" for mark in MARKS)
    print(f"\n{num_workers} workers; median regret, bits x 1000, with its 95 % interval\n")
    print(f"| method | {marks} | budget until ours is there |\n|---|{'---|' * (len(MARKS) + 1)}")
    for name, values in regrets.items():
        cells = []
        for column in columns:
            low, high = interval(values[:, column], generator)
            worse = ""
            if name != ours and ours in regrets:
                differences = regrets[ours][:, column] - values[:, column]
                # Ours is worse if the whole interval of the paired difference is above 0.
                worse = " *" if interval(differences, generator)[0] > 0 else ""
            median = np.median(values[:, column])
            cells.append(f"{median * 1e3:.0f} ({low * 1e3:.0f}-{high * 1e3:.0f}){worse}")
        there = ""
        if name != ours and ours in regrets:
            there = reach(regrets[ours], values, generator)
        print(f"| {name} | {' | '.join(cells)} | {there} |", flush=True)


def run(
    pool: "multiprocessing.pool.Pool", names: Iterable[str], num_workers: int, num_seeds: int
) -> dict[str, Array]:
    """Replay all searches with a number of workers."""
    jobs = [(name, num_workers, seed) for name in names for seed in range(num_seeds)]
    found = dict(zip(jobs, pool.map(replay, jobs, chunksize=1), strict=True))
    return {
        name: np.array([found[name, num_workers, seed] for seed in range(num_seeds)])
        for name in names
    }


def main() -> None:
    """Print the error of the surrogate, then one table for each number of workers."""
    parser = argparse.ArgumentParser(description="Compare search methods on recorded curves.")
    parser.add_argument("--world", choices=("choose", "report", "second"), default="report")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--seeds", type=int, default=50)
    quick = [name for name in METHODS if name not in SLOW]
    parser.add_argument("--methods", nargs="+", default=quick, choices=list(METHODS))
    parser.add_argument("--ours", default=OURS, choices=list(METHODS), help="compared with")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    start = time.perf_counter()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    world, judged_by = tables(options.world)
    landscape, table = made_of(world), world[0]
    fit = Fit.of([made_of(seen).recorded_and_told(unseen) for seen, unseen in judged_by])
    print(
        f"world: {options.world}, {table['configuration'].nunique()} curves; lowest value "
        f"{landscape.best:.4f}, lowest recorded {table['val_bits_per_char'].min():.4f}; "
        f"budget {TRAININGS} x {landscape.full_seconds:.0f} s\n"
        f"surrogate against {fit.num_curves} curves that it has not seen: rank "
        f"correlation {fit.spearman:.2f}, error {fit.error_bits:.3f} bits of a spread of "
        f"{fit.spread_bits:.3f}, error of the logarithm of seconds {fit.seconds_error:.2f}"
    )
    if world[1] is not None:
        correlation, shared = agreement(*_recorded())
        print(f"rank correlation of {shared} configurations on both texts: {correlation:.2f}")
    context = multiprocessing.get_context("spawn")
    with context.Pool(options.processes, _begin, (world,)) as pool:
        for num_workers in options.workers:
            regrets = run(pool, options.methods, num_workers, options.seeds)
            print_table(num_workers, regrets, options.ours)
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
