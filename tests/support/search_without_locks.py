"""A search on a file system without flock, such as Lustre mounted without locks."""

import errno
import fcntl
import os
import sys
from typing import Any

from tune import run


def no_flock(file: Any, operation: int) -> None:
    """Fail as on Lustre mounted without locks."""
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


if __name__ == "__main__":
    fcntl.flock = no_flock
    sys.exit(run.main(sys.argv[1:]))
