# PYTHON_ARGCOMPLETE_OK
"""Writes report.md and report.html from a run's tables alone: `python -m tune.report RUN`.

Several runs are compared in one table instead, and nothing is written.
"""

import sys

from model.command_line import OneLineParser

_EXAMPLES = """examples:
  python -m tune.report results/ten
  python -m tune.report results/ten > ten.md
  python -m tune.report results/ten results/twenty
"""


def main(arguments: list[str] | None = None) -> int:
    """Write a run's report anew and print it, or compare runs."""
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
        help="a run's folder; where several are compared, URIs too, such as s3://bucket/results/a",
    )
    options = parser.parse_args(arguments)

    from model.errors import ConfigError

    try:
        print(_report(options.runs[0]) if len(options.runs) == 1 else _compare(options.runs))
    except (ConfigError, OSError) as error:
        print(f"tune.report: {error}", file=sys.stderr)
        return 2
    return 0


def _report(run: str) -> str:
    from pathlib import Path

    from tune.page import write_page
    from tune.report_text import write_report
    from tune.run_folder import RunFolder

    folder = RunFolder.open(Path(run))
    text = write_report(folder)
    write_page(folder)
    return text


def _compare(runs: list[str]) -> str:
    from tune.comparison import comparison
    from tune.loaded_run import load_run

    return comparison([load_run(run) for run in runs])


if __name__ == "__main__":
    sys.exit(main())
