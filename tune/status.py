# PYTHON_ARGCOMPLETE_OK
"""Says where a run stands, from its folder alone: `python -m tune.status RUN`.

From another shell, or from another machine that sees the folder or the storage; it writes
nothing.
"""

import argparse
from pathlib import Path

from model.system.command_line import OneLineParser, ended_quietly
from model.system.ending import end
from model.system.terminal import printable

_EXAMPLES = """examples:
  python -m tune.status results/ten
  python -m tune.status ten --json
  python -m tune.status s3://bucket/runs/ten
  watch -n 10 python -m tune.status ten
"""


def main(arguments: list[str] | None = None) -> int:
    """Print where a run stands."""
    parser = OneLineParser(
        prog="python -m tune.status",
        description="Say where a run stands: best so far, trials, time left, whether it is alive.",
        epilog=_EXAMPLES,
    )
    parser.add_argument(
        "run", metavar="RUN", help="a run's folder, its name in --results, or a URI"
    )
    parser.add_argument(
        "--results", type=Path, default=Path("results"), metavar="FOLDER", help="(results)"
    )
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    options = parser.parse_args(arguments)
    return ended_quietly("tune.status", lambda: _print(options))


def _print(options: argparse.Namespace) -> int:
    import json

    from tune.monitoring.status import RunStatus
    from tune.records.load import local_folder
    from tune.records.run_folder import location_of

    location = location_of(options.run, options.results)
    with local_folder(location, lambda folder: folder.live_files) as folder:
        status = RunStatus.of(folder, str(location))
    print(json.dumps(status.to_json()) if options.json else printable(status.text()))
    return 0


if __name__ == "__main__":
    end(main())
