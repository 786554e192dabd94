"""What ends a search from outside, and can be mended: a full disk, a lost Ray, Ctrl-C.

The history has every event, so the one line that is printed then says how to go on.
"""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from model.errors import ConfigError, CutOff

CUT_OFF = 75
"""The exit code: EX_TEMPFAIL of sysexits.h, "the user is invited to retry"."""

_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE)


def unwritable(error: BaseException | str) -> str | None:
    """Return why no file can be written, if that is what an error says; else None.

    Ray and pyarrow pass on the text of an error of the system, not always the error.

    >>> unwritable(OSError(28, "No space left on device"))
    'No space left on device'
    >>> unwritable("worker: OSError: [Errno 30] Read-only file system: '/mnt/runs'")
    'Read-only file system'
    >>> unwritable(ValueError("batch_size must be at least 1"))
    """
    seen: BaseException | None = None if isinstance(error, str) else error
    texts = [error] if isinstance(error, str) else []
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _UNWRITABLE:
            return os.strerror(seen.errno)
        texts.append(str(seen))
        seen = seen.__cause__ or seen.__context__
    return next(
        (os.strerror(n) for n in _UNWRITABLE for text in texts if os.strerror(n) in text), None
    )


@contextmanager
def telling_how_to_go_on(place: object, command: Callable[[], str]) -> Iterator[None]:
    """Say what goes on with the run when something outside of it ends it.

    Args:
        place: Where the run writes.
        command: Returns the command line that goes on.

    Raises:
        CutOff: A file could not be written.
    """
    try:
        yield
    except KeyboardInterrupt:
        print(f"go on: {command()}", file=sys.stderr)
        raise
    except Exception as error:
        reason = str(error) if isinstance(error, CutOff) else unwritable(error)
        if reason is None:
            if not isinstance(error, ConfigError):  # not a mistake of the user's: ours
                print(f"go on: {command()}", file=sys.stderr)
            raise
        if not isinstance(error, CutOff):
            reason = f"a run must be able to write its files: {place}: {reason}"
        raise CutOff(f"{reason}; go on: {command()}") from error
