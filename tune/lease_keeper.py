"""Renews a lease from a thread of its own, however long it takes to copy a file meanwhile."""

import contextlib
import threading
from collections.abc import Callable

from tune.lease import RENEW_SECONDS, Lease


class LeaseKeeper:
    """Keeps a lease that was taken until `stop`, or until another driver has it."""

    def __init__(
        self, lease: Lease, *, may_write: Callable[[], bool], lost: Callable[[], None]
    ) -> None:
        """Prepare to renew a lease.

        Args:
            lease: It is ours.
            may_write: As for `Lease.renew`.
            lost: Told once that another driver took over.
        """
        self._lease, self._may_write, self._lost = lease, may_write, lost
        self._is_lost = False
        self._one_at_a_time = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="lease")

    def start(self) -> None:
        """Begin to renew it every RENEW_SECONDS."""
        self._thread.start()

    def stop(self) -> None:
        """Renew it no more."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def is_lost(self) -> bool:
        """Whether another driver took over, as far as is known."""
        return self._is_lost

    def renew(self) -> bool:
        """Renew it now and return True, or return False if another driver took over.

        Raises:
            OSError: The storage cannot be used.
        """
        with self._one_at_a_time:
            if not self._is_lost and not self._lease.renew(may_write=self._may_write):
                self._is_lost = True
                self._lost()
        return not self._is_lost

    def _run(self) -> None:
        while not (self._ending.wait(RENEW_SECONDS) or self._is_lost):
            with contextlib.suppress(OSError):  # the copying thread tells of it
                self.renew()
