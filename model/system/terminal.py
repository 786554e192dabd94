"""What a terminal shows, and the signals that come from it, or from a scheduler of jobs."""

import io
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""People send the first, schedulers of jobs the second, a terminal that is closed the third."""
ENDS_WITH_STDIN = "CHAR_LSTM_TUNE_ENDS_WITH_STDIN"
"""Environment variable of a process that is to end with the one that began it."""
_IMPORTING = "<frozen importlib._bootstrap>"
"""The file of the frames between an import and the module that is imported."""
_IMPORT_SECONDS, _IMPORT_POLL_SECONDS = 20.0, 0.02
"""Longest wait for an import's end: torch from NFS may take minutes."""
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
    """Print what is wrong, in one line on stderr; it does nothing to a terminal."""
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


@contextmanager
def download_progress(name: str, num_bytes: int) -> Iterator[Callable[[int], None]]:
    """Give what shows how far a download is, in a line on stderr if that is a terminal.

    Args:
        name: What is downloaded.
        num_bytes: Its size.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = TextColumn("downloading {task.description}"), BarColumn(), DownloadColumn()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=num_bytes)
        yield lambda num_had: bar.update(task, completed=num_had)


class SteadyOutput:
    """Standard output or error as a stream that fails nobody: a reader that is gone mutes it.

    `| tee log` dies of Ctrl-C before us, a terminal is closed, a pipe's reader ends, an encoding
    has no letter for what is written: none of them is a reason to end a search of hours.
    """

    def __init__(self, stream: TextIO) -> None:
        """Write to a stream."""
        self._stream = stream
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")

    def write(self, text: str) -> int:
        """Write a text, as far as it can be."""
        with self._muted_by_errors():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Pass on what was written."""
        with self._muted_by_errors():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        """Be the stream in all else."""
        return getattr(self._stream, name)

    @contextmanager
    def _muted_by_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # What is left in Python's buffer goes there too, else it would complain at its end.
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        """Do nothing more."""


class OutputError(OSError):
    """Standard output takes no more, of a full disk perhaps."""


class CheckedOutput(SteadyOutput):
    """Standard output whose errors can be told from those of other files.

    A reader that is gone is a BrokenPipeError, all else an OutputError.
    """

    def _failed(self, error: OSError) -> None:
        if isinstance(error, BrokenPipeError):
            raise error
        raise OutputError(error.errno, error.strerror) from error


@contextmanager
def steady_output() -> Iterator[None]:
    """Have nothing that this process prints raise an error, nor end it."""
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(SteadyOutput, streams)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = streams


def open_closed_streams() -> None:
    """Open what a shell has closed (`>&-`) as one that leads nowhere: Python has None there.

    Its number is the first that is free: no file that is opened later gets it, nor our words.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123


class EndOnSignal:
    """A handler of signals that raises KeyboardInterrupt, and knows that it has.

    What it raises can be lost: Python prints and drops what is raised in a callback of C code.
    Amid an import it waits for its end, for a while: another thread that asks for the same module
    would begin it anew, and the process dies where torch 2.13's types are registered twice.

    Attributes:
        first: The first signal that there was; None before.
        ends_on_hangup: Whether SIGHUP is to end the process: not under `nohup`.
        holds_hangup: Whether it does so only when signals are taken back.
    """

    def __init__(self) -> None:
        self.first: int | None = None
        self._first_seconds = 0.0
        self.ends_on_hangup = self.holds_hangup = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt, or look again later."""
        self.note(number)
        if number == signal.SIGHUP and self.holds_hangup:
            return
        has_waited = time.monotonic() - self._first_seconds > _IMPORT_SECONDS
        if has_waited or not _is_importing(frame):
            raise KeyboardInterrupt
        arguments = threading.get_ident(), number  # Python handles signals in its main thread
        timer = threading.Timer(_IMPORT_POLL_SECONDS, signal.pthread_kill, arguments)
        timer.daemon = True
        timer.start()

    def note(self, number: int) -> None:
        """Remember a signal that another handler has received."""
        if self.first is None:
            self.first, self._first_seconds = number, time.monotonic()

    def release(self) -> None:
        """Leave SIGHUP as it was: for what the process starts later it must not be held up."""
        if self.ends_on_hangup:
            sys.stdout.flush()  # a signal that is pending ends the process here
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})

    def exit_code(self) -> int:
        """Return what a process ends with that a signal has ended, as shells have it."""
        return 128 + (self.first or signal.SIGINT)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTING:
            return True
        frame = frame.f_back
    return False


def interrupted_exit_code() -> int:
    """Return what this process ends with if it was interrupted: by no signal is as by SIGINT."""
    handler = signal.getsignal(signal.SIGINT)
    return handler.exit_code() if isinstance(handler, EndOnSignal) else 128 + signal.SIGINT


def end_on_signals() -> EndOnSignal:
    """Have SIGNALS raise KeyboardInterrupt, SIGHUP only when they are taken back.

    Until then it is held. What is started from here has it blocked for ever: a terminal that is
    closed sends it to all of a job, and Ray's processes would die of it before the results are
    written. Threads that numpy has started already do not block it: the handler holds it, too.
    """
    handler = EndOnSignal()
    handler.ends_on_hangup = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
    if handler.ends_on_hangup:
        handler.holds_hangup = True
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        signal.signal(signal.SIGHUP, handler)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)
    return handler


def end_with_stdin(handler: EndOnSignal) -> None:
    """Have the end of standard input send SIGTERM, where ENDS_WITH_STDIN asks for it.

    Standard input is then a pipe whose other end the process that began this one holds: it closes
    however that one ends, by SIGKILL too. What this process starts gets none of it. After another
    signal nothing is sent: it would cut off the end that has begun.

    Args:
        handler: Knows of signals.
    """
    if os.environ.pop(ENDS_WITH_STDIN, None) is None:
        return
    pipe, nothing = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)

    def wait_for_end() -> None:
        while os.read(pipe, 1):
            pass
        if handler.first is None:
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait_for_end, daemon=True, name="stdin").start()


def take_signals_back() -> None:
    """Handle all SIGNALS as SIGINT, once Ray has started; under `nohup` SIGHUP is still ignored.

    Ray 2.60 makes SIGTERM an exit with code 15.
    """
    handler = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGTERM, handler)
    if isinstance(handler, EndOnSignal) and handler.ends_on_hangup:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # one that came is noted here
        handler.holds_hangup = False
        if handler.first == signal.SIGHUP:
            raise KeyboardInterrupt
