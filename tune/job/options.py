"""The command line of `python -m tune.run`. Imports nothing heavy: --help must be fast."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from model.system.command_line import OneLineParser
from model.system.secrets import redacted_command
from tune.sampling.samplers import AUTO, SAMPLERS

if TYPE_CHECKING:
    from tune.planning.study import StudyOptions

_EXAMPLES = """examples:
  python -m tune.run --space quick
  python -m tune.run --space full --corpus book.txt --time-budget 10m --name book
  python -m tune.run --resume results/book --time-budget 1h
  python -m tune.run --space my_space.py --address auto --storage s3://bucket/runs
"""


def parser() -> OneLineParser:
    """Return the parser; every option's help says its default."""
    top = OneLineParser(
        prog="python -m tune.run",
        description="Search for the best char-LSTM for a text: Ray Tune, Optuna, ASHA. "
        "Defaults are in parentheses.",
        epilog=_EXAMPLES,
    )
    top.argument_default = argparse.SUPPRESS  # StudyOptions has the defaults
    what = top.add_argument_group("what to search")
    space = what.add_argument(
        "--space",
        metavar="NAME|FILE.py",
        help="documented, extended, full, quick, research, or a Python file that defines SPACE",
    )
    top.completes(space, _space_names)
    what.add_argument(
        "--configs",
        nargs="+",
        metavar="JSON",
        help="instead of a space: compare these configurations; --fix sets any field of all",
    )
    what.add_argument(
        "--corpus",
        nargs="+",
        metavar="TEXT",
        help="alice, python-docs, tiny-shakespeare, ptb-char, text8, enwik8 (docs/corpora.md), a "
        "UTF-8 file, a folder of files, - for standard input, or an http(s), s3 or gs URL; at "
        "most 2 GiB, from a URL 256 MiB; also .gz, .bz2, .xz and .zst; several are joined in "
        "order (alice if it can be downloaded)",
    )
    what.add_argument(
        "--validation",
        metavar="TEXT",
        help="text on which trials are scored (the last tenth but one of the corpus); if the "
        "texts have over a million characters in total, 50,000, the first of your own text",
    )
    what.add_argument(
        "--test",
        metavar="TEXT",
        help="text on which finalists are scored, once (the last tenth of the corpus); shortened "
        "like --validation",
    )
    what.add_argument(
        "--keep-front-matter",
        action=argparse.BooleanOptionalAction,
        help="keep title and contents of Project Gutenberg books (cut if short and unmistakable)",
    )
    what.add_argument(
        "--encoding", metavar="NAME", help="encoding of the files, such as latin-1 (utf-8)"
    )
    sampler = what.add_argument(
        "--sampler",
        metavar="NAME",
        help=f"proposes configurations: {', '.join((AUTO, *SAMPLERS))} ({AUTO}: tpe if one "
        "trial runs at a time, otherwise tpe-univariate)",
    )
    top.completes(sampler, lambda: (AUTO, *SAMPLERS))
    what.add_argument(
        "--start-from",
        nargs="+",
        metavar="RUN",
        help="start with the best configurations of earlier runs, on any text: folders, names in "
        "--results, or s3://BUCKET/NAME",
    )
    what.add_argument(
        "--fix",
        action="extend",
        nargs="+",
        metavar="AXIS=VALUE",
        help="use only these values of an axis: one, --fix cleaning=cased (also of unit, "
        "normalization, precision or kernel), a range, hidden_size=320..512, or a list, "
        "cleaning=lower,cased; repeatable",
    )
    what.add_argument(
        "--cell",
        action="extend",
        nargs="+",
        metavar="CELL",
        help="search only these cells: lstm, gru, mogrifier, or your own class, FILE.py:CLASS "
        "(docs/cells.md); give them again with --resume",
    )
    what.add_argument("--seed", type=int, metavar="N", help="seed of everything (0)")
    what.add_argument(
        "--resume",
        metavar="RUN",
        help="resume or extend a run: a folder, a name in --results, or s3://BUCKET/NAME in its "
        "storage; budgets are for the whole run",
    )
    what.add_argument(
        "--or-resume",
        action="store_true",
        help="resume the run --name if it exists in --storage or --results, otherwise start it",
    )
    spend = top.add_argument_group("what to spend")
    spend.add_argument(
        "--trials",
        type=int,
        metavar="N",
        help="total number of trials (the space's); alone, it also lifts the time budget",
    )
    spend.add_argument(
        "--time-budget",
        metavar="TIME",
        help="end the search after 90s, 10m, 2h30m (the space's)",
    )
    spend.add_argument(
        "--finalists",
        type=int,
        metavar="N",
        help="retrain the N best and the baselines at the end; 0 is none (3; all of --configs)",
    )
    spend.add_argument(
        "--finalist-seeds", type=int, metavar="N", help="seeds per finalist (3; of --configs 5)"
    )
    spend.add_argument(
        "--stop-when-settled",
        action=argparse.BooleanOptionalAction,
        help="end the search once the rest would gain less than the noise between seeds",
    )
    where = top.add_argument_group("where results go")
    where.add_argument(
        "--results",
        type=Path,
        metavar="FOLDER",
        help="folder of all runs (results)",
    )
    where.add_argument(
        "--name", metavar="RUN", help="the run's folder in --results (space, time, a number)"
    )
    where.add_argument(
        "--storage",
        metavar="URI",
        help="storage of the run and its checkpoints, shared by all machines: absolute path, NFS, "
        "s3:// (the run's folder)",
    )
    how = top.add_argument_group("how to run")
    how.add_argument(
        "--address",
        metavar="ADDR",
        help="a Ray cluster (RAY_ADDRESS, otherwise a local Ray)",
    )
    how.add_argument("--max-concurrent", type=int, metavar="N", help="trials at once (what fits)")
    how.add_argument(
        "--cpus-per-trial",
        type=int,
        metavar="N",
        help="cores and threads per trial (1)",
    )
    how.add_argument(
        "--gpus-per-trial",
        type=float,
        metavar="F",
        help="GPUs per trial, 0 to 1; fractions share one (1 if there are GPUs, otherwise 0)",
    )
    how.add_argument(
        "--trial-timeout",
        metavar="TIME",
        help="kill a trial that reports nothing for this long, such as 10m (never)",
    )
    how.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    watch = top.add_argument_group("how to watch")
    output = watch.add_mutually_exclusive_group()
    output.add_argument("--quiet", action="store_true", help="print only warnings and errors")
    output.add_argument(
        "--log-format",
        choices=("text", "json"),
        help="json prints one object per event and nothing else (text)",
    )
    watch.add_argument(
        "--mlflow",
        metavar="URI",
        help="log every trial to MLflow: http://host:5000, or sqlite:///mlflow.db",
    )
    watch.add_argument(
        "--tracker",
        action="extend",
        nargs="+",
        metavar="FILE.py:CLASS",
        help="notify your own class, or package.module:CLASS, of every trial; repeatable",
    )
    watch.add_argument(
        "--notify",
        metavar="COMMAND|URL",
        help="send the outcome as JSON to a command (on its standard input) or a webhook (http, "
        "https)",
    )
    return top


def _space_names() -> tuple[str, ...]:
    from search_spaces import SPACE_NAMES

    return SPACE_NAMES


def parse_options(arguments: list[str]) -> "StudyOptions":
    """Parse a command line; exits with code 2 and one line if it breaks a rule."""
    top = parser()
    values = vars(top.parse_args(arguments))
    if not {"space", "resume", "configs"} & values.keys():
        top.error("one of the arguments --space, --configs and --resume is required")

    from model.errors import ConfigError
    from tune.planning.study import StudyOptions

    try:
        command = redacted_command("python -m tune.run", arguments)
        return StudyOptions(**values, command=command)
    except ConfigError as error:
        top.error(str(error))
