# PYTHON_ARGCOMPLETE_OK
"""Steers a search that runs: `python -m tune.control RUN stop 7`.

From another shell, or from another machine that sees the folder or the storage.
"""

import argparse
from pathlib import Path

from model.system.command_line import OneLineParser, ended_quietly
from model.system.ending import end
from model.system.terminal import printable

_EXAMPLES = """orders:
  stop 7           end trial 7 with its next report, for good
  finish 7         have ASHA stop trial 7 no more; one that waits goes on next
  add config.json  try a configuration next: all fields, or some over the space's base
  workers 1        start trials only while fewer than this number run
  budget 2h        the time budget, counted from the search's start
  end              as Ctrl-C: results are written, and the search can be resumed

examples:
  python -m tune.control ten stop 7
  python -m tune.control results/ten add results/other/best.json
  python -m tune.control s3://bucket/runs/ten budget 2h
"""
_ORDERS = ("stop", "finish", "add", "workers", "budget", "end")


def main(arguments: list[str] | None = None) -> int:
    """Leave an order for the driver of a run."""
    parser = OneLineParser(
        prog="python -m tune.control",
        description="Steer a search that runs: its driver carries an order out within seconds.",
        epilog=_EXAMPLES,
    )
    parser.add_argument(
        "run", metavar="RUN", help="a run's folder, its name in --results, or a URI"
    )
    parser.add_argument("order", choices=_ORDERS, metavar="ORDER", help="one of those below")
    parser.add_argument("value", nargs="?", metavar="VALUE", help="see below; end has none")
    parser.add_argument(
        "--results", type=Path, default=Path("results"), metavar="FOLDER", help="(results)"
    )
    options = parser.parse_args(arguments)
    return ended_quietly("tune.control", lambda: _order(options))


def _order(options: argparse.Namespace) -> int:
    from tune.monitoring.control import Control
    from tune.records.run_folder import location_of

    control = Control(location_of(options.run, options.results))
    order = getattr(control, options.order)(*_values(options.order, options.value))
    print(printable(f"ordered: {order}; the driver reads it within seconds"))
    return 0


def _values(order: str, value: str | None) -> tuple[object, ...]:
    """Return the values of an order as `Control` takes them.

    Raises:
        ConfigError: One is missing, is too much, or cannot be read.
    """
    import json

    from model.errors import ConfigError, first_line

    if (value is None) != (order == "end"):
        raise ConfigError(f"{order} must have {'no value' if value else 'a value'}")
    if value is None:
        return ()
    if order == "budget":
        return (value,)
    if order == "add":
        try:
            config = json.loads(Path(value).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ConfigError(
                f"add must name a JSON file: {value}: {first_line(error)}"
            ) from error
        if not isinstance(config, dict):
            raise ConfigError(f"add must name a file with a JSON object, got {value}")
        return (config,)
    if not (value.isascii() and value.isdecimal() and len(value) < 10):
        raise ConfigError(f"{order} must have a whole number, got {value!r}")
    return (int(value),)


if __name__ == "__main__":
    end(main())
