"""The marginal cost of a trial, report or character after many: `python -m benchmarks.growth`.

Measures one more of each after a given number of others, in CPU time and in memory. If a search
scales linearly, these costs are constant. Each row is measured in its
own process. The plot has a line for each of them, with both axes logarithmic.
"""

import argparse
import dataclasses
import itertools
import math
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

PICTURE = Path(__file__).with_name("growth.svg")
REPORTS_A_TRIAL = 1_000
WORKERS = 64
LAST_SHARE = 0.1
"""Share of the reports that are timed, at the end."""
WIDTH, HEIGHT, MARGIN = 640, 320, 60
COLOURS = {"trial": "#0072b2", "report": "#d55e00", "character": "#009e73"}
"""Okabe & Ito 2008, as in report.html. A trial is a row of trials.csv, a report of epochs.csv."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """The cost of one item after a given number of others.

    Attributes:
        num_before: The number of items.
        seconds: CPU time of one more.
        at_once_seconds: CPU time, per item, of what is done with all of them at once: reading them
            again, and writing tables and page. 0 if there is no such work.
        memory_bytes: Memory of the process, per item: for trials and characters its peak, for
            reports what is held.
    """

    num_before: int
    seconds: float
    at_once_seconds: float
    memory_bytes: float


def cost_of_trial(num_trials: int) -> Cost:
    """Measure a trial after others: proposal, ASHA, history, display, like benchmarks.scale."""
    from benchmarks.scale_loop import PER_TRIAL, loop_cost
    from model.system.limits import peak_bytes, reset_peak, resident_bytes
    from tune.sampling.samplers import default_sampler

    loop_cost(10, 1, 1, default_sampler(WORKERS))  # imports and caches
    reset_peak()
    before_bytes = resident_bytes()
    cost = loop_cost(num_trials, 100, WORKERS, default_sampler(WORKERS))
    return Cost(
        num_before=num_trials,
        seconds=sum(cost[name] for name in PER_TRIAL),
        at_once_seconds=(cost["resume"] + cost["tables"] + cost["page"]) / num_trials,
        memory_bytes=((peak_bytes() or 0) - before_bytes) / num_trials,
    )


def cost_of_report(num_reports: int) -> Cost:
    """Measure a report of trials with REPORTS_A_TRIAL each, in history, tables and page."""
    from benchmarks.overhead_sampler import made_up_epoch
    from benchmarks.scale_search import study_of
    from model.config import TrialConfig
    from model.system.limits import resident_bytes
    from tune.job.study_json import study_file
    from tune.records.history import EpochEnded, History, TrialStarted
    from tune.records.load import read_run
    from tune.records.run_folder import RunFolder
    from tune.reporting.page import write_page

    def report(count: int) -> EpochEnded:
        number, of_trial = divmod(count, REPORTS_A_TRIAL)
        bits = 2 + 1 / (1 + of_trial) + number / 1e6
        chars_trained = 200_000 * (of_trial + 1)
        epoch = made_up_epoch(number, of_trial + 1, bits, chars_trained=chars_trained)
        return EpochEnded(epoch=epoch, precision="float32", num_parameters=1, vocabulary_size=1)

    config = TrialConfig(epochs=REPORTS_A_TRIAL).to_dict()
    first_timed = num_reports - max(1, int(LAST_SHARE * num_reports))
    with tempfile.TemporaryDirectory() as results:
        study = study_of(Path(results), num_trials=math.ceil(num_reports / REPORTS_A_TRIAL))
        folder = RunFolder.create(study.run_path, study_file(study, None, None))
        before_bytes, start = resident_bytes(), 0.0
        with History(folder.history_file) as history:
            for count in range(num_reports):
                if count % REPORTS_A_TRIAL == 0:
                    number = count // REPORTS_A_TRIAL
                    history.add(
                        TrialStarted(
                            number=number, baseline="", config=config, search_seconds=float(count)
                        )
                    )
                if count == first_timed:
                    start = time.process_time()
                history.add(report(count))
            seconds = (time.process_time() - start) / (num_reports - first_timed)
        memory_bytes = (resident_bytes() - before_bytes) / num_reports
        del history
        start = time.process_time()
        with History(folder.history_file) as history:
            folder.write_tables(list(history.records.values()))
        write_page(read_run(folder), folder)
        at_once = time.process_time() - start
    return Cost(
        num_before=num_reports,
        seconds=seconds,
        at_once_seconds=at_once / num_reports,
        memory_bytes=memory_bytes,
    )


def cost_of_character(num_chars: int) -> Cost:
    """Measure a character of a text: read, cleaned, encoded and priced as `full` needs it."""
    from model.scoring.objective import prepare_corpus
    from model.system.limits import peak_bytes, reset_peak, resident_bytes
    from model.text.cleaning import CLEANINGS
    from model.text.corpus import resolve_corpus
    from model.text.held_out import with_short_held_out
    from search_spaces.long_text import MIN_CHAR_COUNT

    def prepare(text: bytes) -> float:
        with tempfile.NamedTemporaryFile(suffix=".txt") as file:
            file.write(text)
            file.flush()
            start = time.process_time()
            corpus = with_short_held_out(resolve_corpus(file.name))
            prepare_corpus(
                corpus.text,
                list(CLEANINGS),
                lengths=corpus.lengths,
                min_char_count=MIN_CHAR_COUNT,
            )
            return time.process_time() - start

    prepare(made_up_ascii(10_000))
    text = made_up_ascii(num_chars)
    reset_peak()
    before_bytes = resident_bytes()
    seconds = prepare(text)
    return Cost(
        num_before=num_chars,
        seconds=seconds / num_chars,
        at_once_seconds=0.0,
        memory_bytes=((peak_bytes() or 0) - before_bytes) / num_chars,
    )


def made_up_ascii(num_chars: int) -> bytes:
    """Return a text of the embedded text's words in random order, in ASCII."""
    import numpy as np

    from model.text.corpus import resolve_corpus

    words = str(resolve_corpus("python-docs").text).encode("ascii", "ignore").split()
    mean_chars = sum(map(len, words)) / len(words)
    order = np.random.default_rng(0).integers(len(words), size=int(1.2 * num_chars / mean_chars))
    return b" ".join(words[index] for index in order)[:num_chars]


COSTS: dict[str, tuple[Callable[[int], Cost], list[int]]] = {
    "trial": (cost_of_trial, [100, 1_000, 10_000]),
    "report": (cost_of_report, [10_000, 100_000, 1_000_000]),
    "character": (cost_of_character, [1_000_000, 10_000_000, 100_000_000, 1_000_000_000]),
}
"""What is measured, and after how many."""


def picture(costs: dict[str, list[Cost]]) -> str:
    """Return a plot (SVG) of the CPU time of one item, by the number of items."""
    points = {
        what: [(c.num_before, 1e6 * (c.seconds + c.at_once_seconds)) for c in found]
        for what, found in costs.items()
    }
    ends = [
        (math.floor(math.log10(min(axis))), math.ceil(math.log10(max(axis))))
        for axis in zip(*itertools.chain(*points.values()), strict=True)
    ]

    def at(value: float, axis: int) -> float:
        low, high = ends[axis]
        share = (math.log10(value) - low) / max(1, high - low)
        if axis == 0:
            return MARGIN + share * (WIDTH - 2 * MARGIN)
        return HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN)

    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{MARGIN}" y="{MARGIN / 2}">microseconds of one more, by how many</text>',
    ]
    for power in range(ends[0][0], ends[0][1] + 1):
        x = at(10**power, 0)
        drawn.append(f'<path d="M{x:.1f} {MARGIN}V{HEIGHT - MARGIN}" stroke="#ddd"/>')
        drawn.append(
            f'<text x="{x:.1f}" y="{HEIGHT - 30}" text-anchor="middle">{_short(power)}</text>'
        )
    for power in range(ends[1][0], ends[1][1] + 1):
        y = at(10**power, 1)
        drawn.append(f'<path d="M{MARGIN} {y:.1f}H{WIDTH - MARGIN}" stroke="#ddd"/>')
        drawn.append(
            f'<text x="{MARGIN - 6}" y="{y:.1f}" text-anchor="end">{10.0**power:g}</text>'
        )
    for what, line in points.items():
        path = " ".join(f"{at(x, 0):.1f},{at(y, 1):.1f}" for x, y in line)
        colour = COLOURS[what]
        x, y = (float(each) for each in path.split()[-1].split(","))
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn.append(f'<text x="{x - 4:.1f}" y="{y - 8:.1f}" fill="{colour}">{what}</text>')
    return "\n".join([*drawn, "</svg>", ""])


def _short(power: int) -> str:
    """Return a power of ten as text, with M for millions.

    >>> _short(4), _short(8)
    ('10,000', '100 M')
    """
    return f"{10**power:,}" if power < 6 else f"{10 ** (power - 6):,} M"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one row per number of items, and write the plot."""
    parser = argparse.ArgumentParser(description="The cost of one more after many.")
    parser.add_argument("--only", choices=COSTS, nargs="+", default=list(COSTS))
    parser.add_argument("--most", type=int, help="leave out larger numbers")
    parser.add_argument("--picture", type=Path, default=PICTURE, help="file of the plot")
    options = parser.parse_args(arguments)
    most = options.most or sys.maxsize
    costs: dict[str, list[Cost]] = {}
    print("| one | after | CPU us | of all at once, us each | memory, bytes each |")
    print(f"|{'---|' * 5}")
    context = multiprocessing.get_context("spawn")
    with context.Pool(1, maxtasksperchild=1) as pool:  # each measurement needs a fresh process
        for what in options.only:
            measure, numbers = COSTS[what]
            for number in (each for each in numbers if each <= most):
                cost = pool.apply(measure, (number,))
                costs.setdefault(what, []).append(cost)
                print(
                    f"| {what} | {number:,} | {1e6 * cost.seconds:,.3g} "
                    f"| {1e6 * cost.at_once_seconds:,.3g} | {cost.memory_bytes:,.0f} |",
                    flush=True,
                )
    options.picture.write_text(picture(costs), encoding="utf-8")


if __name__ == "__main__":
    main()
