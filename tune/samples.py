# PYTHON_ARGCOMPLETE_OK
"""Rewrites samples.md and samples.json from kept checkpoints: `python -m tune.samples RUN`."""

import argparse
import sys
from pathlib import Path

from model.errors import CorpusError
from model.system.command_line import OneLineParser, add_cell_option, ended_quietly
from model.system.ending import end
from model.system.terminal import complain, printable

_EXAMPLES = """examples:
  python -m tune.samples results/ten
  python -m tune.samples results/ten --temperature 0.6 --chars 2000
  python -m tune.samples results/ten --top 1 --prime "The " --top-p 0.9
"""


def main(arguments: list[str] | None = None) -> int:
    """Let a run's best checkpoints write text."""
    parser = OneLineParser(
        prog="python -m tune.samples",
        description="Let a run's best checkpoints write text; samples.md is rewritten.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("run", metavar="RUN", help="a run's folder, or its name in --results")
    parser.add_argument(
        "--results", type=Path, default=Path("results"), metavar="FOLDER", help="(results)"
    )
    parser.add_argument(
        "--top",
        type=int,
        default=3,
        help="how many checkpoints write, and the predictor besides (3)",
    )
    parser.add_argument("--chars", type=int, default=1_000, help="characters of each (1000)")
    parser.add_argument(
        "--temperature",
        type=float,
        help="0 is greedy (the one that quality.csv marks as nearest to the book, else 0.8)",
    )
    parser.add_argument("--top-k", type=int, help="draw among the k most probable characters")
    parser.add_argument("--top-p", type=float, help="draw among the most probable up to p in sum")
    parser.add_argument("--prime", default="", metavar="TEXT", help="what the passages begin with")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draws (0)")
    parser.add_argument(
        "--corpus", metavar="TEXT", help="the run's text, where it is no longer found"
    )
    add_cell_option(parser)
    options = parser.parse_args(arguments)
    return ended_quietly("tune.samples", lambda: _write(options))


def _write(options: argparse.Namespace) -> int:
    from model.training.named_cells import execute_cells
    from tune.records.run_folder import find_run
    from tune.reporting.samples import write_samples
    from tune.reporting.text_quality import Book

    execute_cells(options.cell)
    folder = find_run(options.run, options.results)
    book, reason = None, None
    try:
        book = Book.of_run(folder, options.corpus)
    except CorpusError as error:
        if options.corpus is not None:
            raise
        reason = error
    samples = write_samples(
        folder,
        book,
        top=options.top,
        num_chars=options.chars,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        prime=options.prime,
        seed=options.seed,
    )
    if reason is not None:
        complain("tune.samples", f"what was written is not compared with the book: {reason}")
    fit = printable if sys.stdout.isatty() else str  # a file gets the text as it is
    for rank, passage in enumerate(samples.passages, start=1):
        print(printable(f"--- {rank}. {passage.caption}; {passage.how}"))
        print(f"{fit(passage.text)}\n")
    return 0


if __name__ == "__main__":
    end(main())
