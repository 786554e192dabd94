"""SIGINT and SIGTERM: people send the one, schedulers of jobs the other."""

import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
