"""The overhead of the search besides training: `python -m benchmarks.overhead`.

Four questions with goals: the seconds until training starts and the share of worker time that is
training, both for the real command; the seconds per proposal after many trials; and what hooks,
orders and the search from Python cost. benchmarks/scale.py measures the driver's load with many
workers. On a machine that is busy with other work, the figures mean nothing.
"""

import argparse
import itertools
import os
import platform
import statistics

from search_spaces import SPACE_NAMES
from tune.cluster.ray_environment import prepare_ray_environment
from tune.sampling.samplers import SAMPLERS, default_sampler

PARTS = ("start", "search", "sampler", "hooks")
GOAL_START = "5 s"
GOAL_TRAINING = "95 %"
GOAL_PROPOSAL = {1_000: "0.1 s", 10_000: "1 s"}
"""By the number of trials before."""
GOAL_HOOKS = "1 %"


def main() -> None:
    """Print one table, row by row."""
    parser = argparse.ArgumentParser(description="The overhead of the search besides training.")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS)
    parser.add_argument("--corpus", default="python-docs", help="text for the start: name or file")
    parser.add_argument("--minutes", type=float, default=10, help="length of a real search")
    parser.add_argument("--workers", type=int, default=2, help="workers of the real search")
    parser.add_argument(
        "--told", type=int, nargs="+", default=[100, 1_000, 10_000], help="trials before"
    )
    parser.add_argument("--spaces", choices=SPACE_NAMES, nargs="+", default=["extended"])
    parser.add_argument(
        "--samplers",
        choices=SAMPLERS,
        nargs="+",
        default=[default_sampler(2)],
        help="samplers whose proposals are timed",
    )
    options = parser.parse_args()
    prepare_ray_environment(None)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores\n")
    print("| what | measured | goal |\n|---|---|---|", flush=True)
    if "start" in options.only:
        _start(options.corpus)
    if "search" in options.only:
        _search(options.minutes, options.workers)
    if "hooks" in options.only:
        _hooks(options.minutes)
    if "sampler" in options.only:
        for space, num_told, sampler in itertools.product(
            options.spaces, options.told, options.samplers
        ):
            _sampler(num_told, space, sampler)


def _start(corpus: str) -> None:
    from benchmarks.overhead_search import STARTS, start_seconds

    seconds = [start_seconds(corpus) for _ in range(STARTS)]
    _row(
        f"from the command to the first training step, `quick` on {corpus}, least and most of "
        f"{STARTS}",
        f"{min(seconds):.1f} s, {max(seconds):.1f} s",
        GOAL_START,
    )


def _search(minutes: float, num_workers: int) -> None:
    from benchmarks.overhead_search import search_cost

    cost = search_cost(minutes, num_workers)
    of = f"{minutes:g} minutes, {num_workers} workers, {cost.num_trials} trials"
    _row(
        f"training / worker time after the first step ({of})",
        f"{cost.share_of_search:.1%}",
        GOAL_TRAINING,
    )
    _row("training / worker time of the whole command", f"{cost.share_of_command:.1%}")


def _sampler(num_told: int, space: str, sampler: str) -> None:
    from benchmarks.overhead_sampler import sampler_cost

    open_seconds, seconds = sampler_cost(num_told, space_name=space, sampler=sampler)
    _row(
        f"a proposal of {sampler} in {space} after {num_told:,} trials, median and maximum of 10",
        f"{statistics.median(seconds):.3f} s, {max(seconds):.3f} s",
        GOAL_PROPOSAL.get(num_told, ""),
    )
    _row(f"opening the study of {num_told:,} trials", f"{open_seconds:.1f} s")


def _hooks(minutes: float) -> None:
    from benchmarks import overhead_hooks as hooks

    share = hooks.orders_share(hooks.WATCHED_SECONDS)
    _row("looking for orders, of a core", f"{share:.2%}", GOAL_HOOKS)
    seconds = hooks.report_seconds(hooks.NUM_TRIALS)
    _row("a report for TensorBoard and an own tracker", f"{1e3 * seconds:.2f} ms")
    share = hooks.python_share(minutes)
    _row("the process that calls tune.search, of a core", f"{share:.2%}", GOAL_HOOKS)


def _row(what: str, measured: str, goal: str = "") -> None:
    print(f"| {what} | {measured} | {goal} |", flush=True)


if __name__ == "__main__":
    main()
