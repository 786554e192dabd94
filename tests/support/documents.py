"""The code in Markdown files, and how a test runs the commands in it."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from repository import SUPPORT

SHORTENED = {
    # Two trials train one epoch each, by the clock of timed_search.py.
    "-m tune.run --space full --corpus book.txt --time-budget 10m": (
        f"{SUPPORT}/timed_search.py --space full --corpus book.txt --time-budget 1s"
    ),
    "--resume results/ten --time-budget 20m": "--resume results/ten --trials 10",
    "--time-budget 2m": "--time-budget 1h --trials 4",
    "--name mine": "--name mine --finalists 1 --finalist-seeds 1",
    "--name ten": "--name ten --finalists 0",
    "--name compared": "--name compared --finalist-seeds 2",
    "--name events": "--name events --finalists 0",
    "--name told": "--name told --finalists 0",
    "--space full --corpus tiny-shakespeare": "--space quick --corpus tiny-shakespeare",
    "--time-budget 1h --name tiny": "--trials 1 --finalists 1 --finalist-seeds 1 --name tiny",
    "--name small": "--name small --finalists 1 --finalist-seeds 1",
    "--name first-search": "--name first-search --finalists 0",
}
"""Replaces options that a test would wait for or that need a fast machine."""


def blocks(path: Path, language: str) -> list[str]:
    """Return the code blocks of one language in a Markdown file."""
    text = path.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(path: Path) -> list[str]:
    """Return the shell commands in a Markdown file, one per line, without comments.

    A loop over words becomes its commands for each.
    """
    lines = "\n".join(blocks(path, "sh")).splitlines()
    found: list[str] = []
    for line in (line.partition("#")[0].strip() for line in lines if line.strip()):
        loop = re.fullmatch(r"for (\w+) in (.*); do (.*); done", line)
        if loop is None:
            found.append(line)
        else:
            bodies = (loop[3].replace(f"${loop[1]}", word) for word in loop[2].split())
            found += [command for body in bodies for command in body.split("; ")]
    return found


def run(lines: Iterable[str], *through: Path) -> None:
    """Run commands with this project's Python in order; each must succeed without warnings.

    Args:
        lines: The commands.
        through: A script that runs each command.
    """
    for line in lines:
        shortened = line
        for long, short in SHORTENED.items():
            shortened = shortened.replace(long, short)
        words = shlex.split(shortened)
        assert words[0] == "python", line
        done = subprocess.run(
            [sys.executable, *through, *words[1:]],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        assert done.stderr == "", line
