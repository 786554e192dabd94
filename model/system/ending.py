"""The end of a process that has left threads to themselves, which Python would wait for.

It joins those of concurrent.futures, pyarrow those that wait for S3: for minutes or for ever, and
deaf to signals.
"""

import contextlib
import os
import sys
import threading
from typing import NoReturn

_are_left = threading.Event()


def leave_threads() -> None:
    """Note that threads were left to themselves: the process is not to wait for them."""
    _are_left.set()


def end(exit_code: int) -> NoReturn:
    """End the process; at once, where threads were left."""
    if _are_left.is_set():
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(exit_code)
    sys.exit(exit_code)
