"""The parser of every command here: a mistake is one line and exit code 2."""

import argparse
import contextlib
import difflib
import os
import re
import shlex
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from model.errors import EXTERNAL_FAULT, CheckpointError, ConfigError
from model.system.files import is_utf8
from model.system.terminal import CheckedOutput, OutputError, complain, open_closed_streams

DEVICES = ("cpu", "cuda")
CONSOLE = "char-lstm-tune"
"""The command of an installed project; see tune/console.py."""
_MODULE = re.compile(r"python -m (?:model|tune)\.(\w+)")
_MISTAKE, _INTERRUPTED, _READER_GONE = 2, 130, 141
"""Exit codes, as shells have them."""


def begin_command() -> None:
    """Prepare a process that is a command: streams are open, no library warns, imports are fast.

    Our own words are printed, never warned. The rule comes after all others: what `-W` or
    PYTHONWARNINGS ask for is shown, and a test that makes errors of warnings sees them.
    """
    import model.system.garbage  # noqa: F401  # for its effect

    warnings.simplefilter("ignore", append=True)
    open_closed_streams()


def ended_quietly(program: str, command: Callable[[], int]) -> int:
    """Run a command and return its exit code.

    A mistake, Ctrl-C, `| head` and a full disk under its output end it without a traceback.

    Args:
        program: Its name, for the line on stderr that tells of a mistake.
        command: What it does; returns its exit code.
    """
    begin_command()
    output, sys.stdout = sys.stdout, CheckedOutput(sys.stdout)
    try:
        code = _ended_by_mistake(program, command)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        return _READER_GONE
    except OutputError as error:
        complain(CONSOLE, f"cannot write the output: {error.strerror}")
        return EXTERNAL_FAULT
    finally:
        sys.stdout = output
    return code


def _ended_by_mistake(program: str, command: Callable[[], int]) -> int:
    try:
        return command()
    except (BrokenPipeError, OutputError):
        raise
    except (ConfigError, CheckpointError, OSError) as error:
        complain(program, error)
        return _MISTAKE


class OneLineParser(argparse.ArgumentParser):
    """An ArgumentParser that takes no abbreviations and tells a mistake in one line.

    Attributes:
        is_console: Whether the process is the command CONSOLE: then it is named so.
    """

    is_console = False

    def __init__(self, *, prog: str, description: str, epilog: str | None = None) -> None:
        def named(text: str) -> str:
            return _MODULE.sub(rf"{CONSOLE} \1", text) if self.is_console else text

        super().__init__(
            prog=named(prog),
            description=description,
            epilog=named(epilog or ""),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    @staticmethod
    def completes(action: argparse.Action, names: Callable[[], Iterable[str]]) -> None:
        """Let a shell complete an option's value by names, which are asked for only then."""
        action.completer = lambda **_: names()  # type: ignore[attr-defined]

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> argparse.Namespace:
        """Parse; or, where a shell asks by argcomplete, give it completions and end."""
        if "_ARGCOMPLETE" in os.environ:
            with contextlib.suppress(ImportError):
                import argcomplete

                argcomplete.autocomplete(self)
        words = sys.argv[1:] if args is None else list(args)
        for word in words:
            if not is_utf8(word):  # most are written down
                self.error(f"arguments must be UTF-8, got {word!r}")
        self._check_given_once(words)
        parsed: argparse.Namespace
        parsed, unknown = self.parse_known_args(words, namespace)
        if unknown:
            self._refuse(unknown[0])
        return parsed

    def _check_given_once(self, words: Sequence[str]) -> None:
        """Refuse an option that is given twice: the last would win, and nobody would know."""
        seen: set[str] = set()
        for word in words:
            action = self._option_string_actions.get(word.partition("=")[0])
            if isinstance(action, argparse._StoreAction):
                if action.dest in seen:
                    self.error(f"{action.option_strings[-1]} must be given once")
                seen.add(action.dest)

    def _refuse(self, word: str) -> NoReturn:
        """End because of a word that is no option, with the nearest that is."""
        if not word.startswith("-"):
            self.error(f"unexpected {word!r}; a name with blanks needs quotes")
        word = word.partition("=")[0]
        options = [option for option in self._option_string_actions if option.startswith("--")]
        near = difflib.get_close_matches(word, options, n=1)
        self.error(f"unknown option {word!r}" + (f"; did you mean {near[0]}?" if near else ""))

    def error(self, message: str) -> NoReturn:
        """Print the mistake, and end with exit code 2."""
        complain(self.prog.removeprefix("python -m "), f"{message}; see --help")
        sys.exit(_MISTAKE)


def add_cell_option(parser: argparse.ArgumentParser) -> None:
    """Add --cell, by which a user names the files that a network's own cells need."""
    parser.add_argument(
        "--cell",
        action="extend",
        nargs="+",
        default=[],
        type=_said_cell,
        metavar="FILE.py:CLASS",
        help="the files of the cells of one's own that a network has; they are executed",
    )


def _said_cell(word: str) -> str:
    """Return a word after --cell, which takes all that follow, also those meant as arguments.

    Raises:
        argparse.ArgumentTypeError: It names no cell of the user's own.
    """
    if ".py:" not in word:
        rule = f"a cell of one's own must be FILE.py:CLASS, got {word!r}"
        raise argparse.ArgumentTypeError(f"{rule}; put other arguments before --cell")
    return word


def cell_words(cells: Iterable[str]) -> str:
    """Return --cell as one types it behind a command; empty without cells.

    >>> cell_words(["my cells.py:A", "b.py:B"])
    " --cell 'my cells.py:A' b.py:B"
    """
    words = " ".join(map(shlex.quote, cells))
    return f" --cell {words}" if words else ""
