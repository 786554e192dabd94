# PYTHON_ARGCOMPLETE_OK
"""The command `char-lstm-tune` of an installed project: each command by one word, from anywhere.

`char-lstm-tune run` is `python -m tune.run`, which looks for packages in the current folder first.
"""

import importlib
import os
import sys
from typing import NoReturn

from model.system.command_line import CONSOLE, OneLineParser
from model.system.ending import end

COMMANDS = {
    "run": ("tune.run", "search for the best network for a text"),
    "report": ("tune.report", "rewrite a run's report, or compare runs"),
    "samples": ("tune.samples", "let a run's best networks write text"),
    "status": ("tune.status", "say where a run stands"),
    "control": ("tune.control", "steer a search that runs"),
    "train": ("model.train", "train one network"),
    "score": ("model.score", "say what a network or an n-gram spends on a text"),
    "generate": ("model.generate", "let a network write text"),
}
"""The module of each, and what it does."""


def run_command() -> NoReturn:
    """Run the command that the first word names, and end with its exit code."""
    end(main())


def main(arguments: list[str] | None = None) -> int:
    """Run that command, and return its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    name = _completed() if "_ARGCOMPLETE" in os.environ else next(iter(words), None)
    if name not in COMMANDS:
        _parser().parse_args(words)
        raise AssertionError("a parser that has one choice ends where it is not taken")
    OneLineParser.is_console = True
    command: int = importlib.import_module(COMMANDS[name][0]).main(words[1:])
    return command


def _completed() -> str | None:
    """Return the command whose options a shell asks for; argcomplete shall read on after it."""
    begun = os.environ["COMP_LINE"][: int(os.environ["COMP_POINT"])]
    words = [*begun.split(), ""] if begun[-1:].isspace() else begun.split()
    start = int(os.environ["_ARGCOMPLETE"])
    if len(words) <= start + 1:
        return None  # the word itself
    os.environ["_ARGCOMPLETE"] = str(start + 1)
    return words[start]


def _parser() -> OneLineParser:
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {CONSOLE} {name:<{width}}{what}" for name, (_, what) in COMMANDS.items()]
    parser = OneLineParser(
        prog=CONSOLE,
        description="Find and train character-level LSTM language models.",
        epilog="\n".join(["commands; each has its own --help:", *lines]),
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of those below")
    return parser


if __name__ == "__main__":
    run_command()
