"""What a terminal shows, and the signals that come from it, or from a scheduler of jobs."""

import re
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""People send the one, schedulers of jobs the other."""
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Not U+200E and U+200F: Arabic and Hebrew texts have them, and they turn no other letter."""


def printable(text: str) -> str:
    r"""Return a text whose control characters are visible and do nothing.

    Left alone, an escape character in a book could move the cursor or set the terminal's title,
    and marks of direction could make a line read as another. Line feeds and tabs stay.

    >>> printable("a\x1b[2Jb\n")
    'a\\x1b[2Jb\n'
    """
    return _CONTROL.sub(lambda match: _escaped(match[0]), text)


def complain(program: str, error: object) -> None:
    """Print why a command ends, in one line on stderr; it does nothing to a terminal."""
    line = " ".join(f"{program}: {error}".splitlines())
    print(printable(line), file=sys.stderr, flush=True)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def say(console: "Console", text: str = "") -> None:
    """Print a text: one line stays one, brackets are no markup, control characters do nothing.

    Errors, names and generated text may hold any of these.
    """
    console.print(printable(text), highlight=False, markup=False, soft_wrap=True)


class EndOnSignal:
    """A handler of signals that raises KeyboardInterrupt, and knows that it has.

    What it raises can be lost: Python prints and drops what is raised in a callback of C code.

    Attributes:
        was_called: Whether there was a signal.
    """

    def __init__(self) -> None:
        self.was_called = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt."""
        self.was_called = True
        raise KeyboardInterrupt


def end_on_signals() -> None:
    """Have SIGINT and SIGTERM raise KeyboardInterrupt."""
    handler = EndOnSignal()
    for number in SIGNALS:
        signal.signal(number, handler)


def take_sigterm_back() -> None:
    """Handle SIGTERM as SIGINT again, once Ray has started: ray 2.60 exits with code 15."""
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
