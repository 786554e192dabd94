"""A lease in a run's own folder, for file systems without locks: Lustre, some NFS.

Separate from lease.py, which leases runs in a storage.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path

from model.errors import ConfigError, first_line
from tune.storage.lease import Lease, end_this_driver


@contextlib.contextmanager
def leased_folder(folder: Path, *, say: Callable[[str], None]) -> Iterator[None]:
    """Keep other drivers out of a run folder; if one takes over, this driver ends.

    Args:
        folder: The run's folder.
        say: Prints a line for the user.

    Raises:
        ConfigError: Another driver has the run, or the folder cannot be written.
    """
    # The other driver writes the same files.
    lost = functools.partial(end_this_driver, folder, say, without_results=True)
    lease = Lease(str(folder), lost=lost)
    say(f"the file system of {folder} has no locks: a file keeps other drivers out instead")
    try:
        lease.take(say)
    except OSError as error:
        raise ConfigError(f"a run folder must be writable: {first_line(error)}") from error
    lease.keep()
    try:
        yield
    finally:
        lease.stop()
        with contextlib.suppress(OSError):
            lease.release()
