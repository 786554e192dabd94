"""Does the search scale? `python -m benchmarks.scale`.

Two tables. The first is a real search on a local Ray whose trials report recorded curves and sleep
instead of training, each with a logical GPU. Time is compressed, and the output says how far. The
second has no Ray: the driver's cost per trial after a number of others, to show growth. On a
machine that is busy with other work, the figures mean nothing.
"""

import argparse
import contextlib
import os
import platform
import sys

from tune.cluster.ray_environment import prepare_ray_environment
from tune.sampling.samplers import SAMPLERS, default_sampler

PARTS = ("search", "loop")
REAL_TRIAL_SECONDS = 60.0
"""Length of trials with which the search must keep its workers busy."""
GOAL_WAITING = "2 %"
GOAL_GROWTH = 1.5
"""Maximum cost of a trial after the most others, relative to one after the fewest."""
MEBIBYTE = 2**20


def main() -> None:
    """Print the tables, row by row."""
    parser = argparse.ArgumentParser(description="Does the search scale?")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS)
    parser.add_argument("--workers", type=int, default=64, help="parallel trials")
    parser.add_argument(
        "--trials", type=int, nargs="+", default=[100, 300, 1_000], help="trials of the search"
    )
    parser.add_argument(
        "--epoch-seconds", type=float, default=1.5, help="sleep per epoch of a trial"
    )
    parser.add_argument(
        "--told", type=int, nargs="+", default=[100, 1_000, 10_000], help="trials before, no Ray"
    )
    parser.add_argument("--measured", type=int, default=100, help="trials after them, no Ray")
    parser.add_argument("--sampler", choices=SAMPLERS, default=default_sampler(64))
    options = parser.parse_args()
    # The stand-ins need no torch: 64 processes with it would not fit into a laptop's memory.
    os.environ.setdefault("RAY_preload_python_modules", "ray.tune")
    prepare_ray_environment(None)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores\n", flush=True)
    if "search" in options.only:
        _search(options.workers, sorted(options.trials), options.epoch_seconds, options.sampler)
    if "loop" in options.only:
        _loop(sorted(options.told), options.measured, options.workers, options.sampler)


def _search(workers: int, trials: list[int], epoch_seconds: float, sampler: str) -> None:
    from benchmarks.scale_search import search_stages

    # ray 2.60 warns of more workers than cores, whatever its log level.
    with contextlib.redirect_stdout(sys.stderr):
        stages = search_stages(workers, trials, epoch_seconds, sampler)
    if not stages:
        print(f"fewer than {trials[0]:,} trials ended\n")
        return
    seconds = sum(stage.trial_seconds * stage.num_trials for stage in stages)
    mean = seconds / sum(stage.num_trials for stage in stages)
    print(
        f"{workers} workers; a trial sleeps {mean:.1f} s in place of {REAL_TRIAL_SECONDS:g} s: "
        f"time is compressed {REAL_TRIAL_SECONDS / mean:.1f}-fold\n"
    )
    _row(
        *("trials", "driver, share of a core", "driver, CPU ms a trial", "a trial waits, s"),
        *(
            "workers idle, as measured",
            f"idle at {REAL_TRIAL_SECONDS:g} s a trial (goal {GOAL_WAITING})",
        ),
        *("driver's memory, MiB", "run folder, bytes a trial"),
    )
    _row(*["---"] * 8)
    for stage in stages:
        _row(
            f"{stage.num_ended:,}",
            f"{stage.cpu_share:.0%}",
            f"{1e3 * stage.cpu_seconds:.0f}",
            f"{stage.wait_seconds:.2f}",
            f"{stage.waiting_share:.1%}",
            f"{stage.waiting_share_at(REAL_TRIAL_SECONDS):.1%}",
            f"{stage.memory_bytes / MEBIBYTE:,.0f}",
            f"{stage.folder_bytes:,.0f}",
        )
    print(flush=True)


def _loop(told: list[int], measured: int, workers: int, sampler: str) -> None:
    from benchmarks.scale_loop import PER_TRIAL, loop_cost

    print(f"CPU of the driver without Ray, {measured} trials after the others, {sampler}\n")
    _row(
        *("trials before", "proposal, ms", "telling, ms", "ASHA, ms", "history, progress, ms"),
        f"a trial, ms (goal {GOAL_GROWTH:g} times the first at most)",
        *("display, ms", "reserve, ms", "tables, s", "page, s", "resuming, s"),
    )
    _row(*["---"] * 11)
    for num_told in told:
        cost = loop_cost(num_told, measured, workers, sampler)
        of_trial = [cost[name] for name in PER_TRIAL]
        short = (*of_trial, sum(of_trial), cost["display"], cost["reserve"])
        _row(
            f"{num_told:,}",
            *(f"{1e3 * seconds:.2f}" for seconds in short),
            *(f"{cost[name]:.2f}" for name in ("tables", "page", "resume")),
        )


def _row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
