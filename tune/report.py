# PYTHON_ARGCOMPLETE_OK
"""Writes report.md and report.html from a run's tables alone: `python -m tune.report RUN`.

Several runs are compared in one table instead, and nothing is written.
"""

import argparse
import math
from pathlib import Path

from model.errors import ConfigError
from model.system.command_line import OneLineParser, ended_quietly
from model.system.ending import end
from model.system.terminal import printable

_EXAMPLES = """examples:
  python -m tune.report results/ten
  python -m tune.report results/ten > ten.md
  python -m tune.report results/ten results/twenty
  python -m tune.report results/ten --max-parameters 1e6
"""


def main(arguments: list[str] | None = None) -> int:
    """Rewrite a run's report and print it, or compare runs."""
    parser = OneLineParser(
        prog="python -m tune.report",
        description=(
            "Rewrite a run's report.md and report.html from its tables, or compare several runs."
        ),
        epilog=_EXAMPLES,
    )
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="a run's folder, or its name in --results; where several are compared, URIs too, "
        "such as s3://bucket/results/a",
    )
    parser.add_argument(
        "--results", type=Path, default=Path("results"), metavar="FOLDER", help="(results)"
    )
    parser.add_argument(
        "--max-parameters",
        type=float,
        metavar="N",
        help="of one run, name the best network of at most N parameters, and write nothing",
    )
    options = parser.parse_args(arguments)
    return ended_quietly("tune.report", lambda: _print(options))


def _print(options: argparse.Namespace) -> int:
    from model.system.filesystem import is_uri
    from tune.records.load import load_run, read_run
    from tune.records.run_folder import find_run, location_of
    from tune.reporting.comparison import comparison
    from tune.reporting.markdown_report import write_report
    from tune.reporting.page import write_page
    from tune.reporting.trade_off import best_below

    runs, results, most = options.runs, options.results, options.max_parameters
    if most is not None:
        if len(runs) > 1 or not 0 < most < math.inf:
            raise ConfigError("--max-parameters takes one run, and a number above 0")
        text = best_below(load_run(location_of(runs[0], results)), most)
    elif len(runs) > 1:
        locations = [location_of(run, results) for run in runs]
        for run, location in zip(runs, locations, strict=True):
            if locations.count(location) > 1:
                raise ConfigError(f"runs that are compared must differ, got {run} again")
        text = comparison(list(map(load_run, locations)))
    elif is_uri(runs[0]):
        raise ConfigError(
            f"a run whose report is written must be a folder, got {runs[0]}; URIs can be "
            f"compared only"
        )
    else:
        folder = find_run(runs[0], results)
        loaded = read_run(folder)
        text = write_report(loaded, folder)
        write_page(loaded, folder)
    print(printable(text))
    return 0


if __name__ == "__main__":
    end(main())
