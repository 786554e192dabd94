"""What ends a search from outside, and can be mended: a full disk, a lost Ray, Ctrl-C.

The history has every event, so the one line that is printed then says how to go on.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from model.errors import ConfigError, CutOff
from model.system.files import unwritable

CUT_OFF = 75
"""The exit code: EX_TEMPFAIL of sysexits.h, "the user is invited to retry"."""


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
