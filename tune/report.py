"""Writes report.md from a run's tables alone: `python -m tune.report RUN`."""

import sys
from pathlib import Path

from model.command_line import OneLineParser


def main(arguments: list[str] | None = None) -> int:
    """Write a run's report anew and print it."""
    from model.errors import ConfigError
    from tune.report_text import write_report
    from tune.run_folder import RunFolder

    parser = OneLineParser(
        prog="python -m tune.report",
        description="Write a run's report.md anew from its tables.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="a run's folder")
    options = parser.parse_args(arguments)
    try:
        print(write_report(RunFolder.open(options.run)))
    except (ConfigError, OSError) as error:
        print(f"tune.report: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
