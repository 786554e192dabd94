"""One driver per run, even if two machines share nothing but the storage.

A driver repeatedly writes its name into driver.json in the run's storage. Another driver waits
until that file is stale, and gives up if it is renewed. Older object stores have no
compare-and-set, so this is a convention, not a lock: two drivers that start within the same
second may both continue for RENEW_SECONDS; then the one whose name was replaced ends.
"""

import contextlib
import dataclasses
import json
import os
import platform
import signal
import threading
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from pyarrow import fs

from model.errors import ConfigError
from model.system.filesystem import STORE_ERRORS, open_location, read, write
from model.system.json_schema import parsed
from tune.records.run_folder import LEASE_FILE

STALE_SECONDS = 60.0
"""Age of a lease at which its driver is presumed dead."""
RENEW_SECONDS = 10.0
POLL_SECONDS = 1.0
SETTLE_SECONDS = 1.0
"""Wait between taking a lease and checking whether another driver took it too."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """Who drives a run.

    Attributes:
        host: The machine's name.
        pid: The process's number.
        started: When the process started, because numbers are reused; "" if unknown.
        token: Random, unique to one lease.
        boot_id: Identifies the machine's boot; "" if unknown, as in older leases.
        pid_namespace: The namespace of the process's number; "" likewise.
    """

    host: str
    pid: int
    started: str
    token: str
    boot_id: str = ""
    pid_namespace: str = ""

    @classmethod
    def this_process(cls) -> "Holder":
        """Return this process as the holder of a new lease."""
        pid = os.getpid()
        return cls(
            host=platform.node(),
            pid=pid,
            started=_started(pid),
            token=uuid.uuid4().hex,
            boot_id=_boot_id(),
            pid_namespace=_pid_namespace(),
        )

    def is_dead(self) -> bool:
        """Return whether it is certainly dead: its process would be visible here, but is gone.

        Containers may share a host name, and do not see each other's processes.
        """
        where = self.host, self.boot_id, self.pid_namespace
        is_known = "" not in (self.started, *where)
        is_here = where == (platform.node(), _boot_id(), _pid_namespace())
        return is_known and is_here and _started(self.pid) != self.started


class Lease:
    """A driver's lease of a run.

    Attributes:
        is_lost: Whether another driver is known to have taken over.
    """

    def __init__(
        self,
        root: str,
        *,
        may_write: Callable[[], bool] = lambda: True,
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare to lease the run whose storage is at `root`.

        Args:
            root: Absolute path or URI.
            may_write: Returns whether a missing lease may be written again: it was removed by
                hand, or by another driver that had taken it and has ended.
            lost: Called once, when another driver has taken over.
        """
        self._file_system, folder = open_location(root)
        self._path = f"{folder}/{LEASE_FILE}"
        self._holder = Holder.this_process()
        self._may_write, self._lost = may_write, lost
        self.is_lost = False
        self._one_at_a_time = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="lease")

    def take(self, say: Callable[[str], None]) -> None:
        """Take the lease; wait if its holder may be alive.

        Raises:
            ConfigError: Another driver has it.
            OSError: The storage cannot be used.
        """
        self._file_system.create_dir(self._path.rpartition("/")[0], recursive=True)
        seen = found = self._found()
        while found and not found.holder.is_dead() and found.age_seconds < STALE_SECONDS:
            who = f"process {found.holder.pid} on {found.holder.host}"
            assert seen is not None
            if (found.holder, found.written) != (seen.holder, seen.written):
                raise ConfigError(f"a run must have one driver, but {who} drives it")
            if found is seen:
                left = STALE_SECONDS - found.age_seconds
                say(
                    f"{who} was driving this run moments ago; waiting {left:.0f} s to see "
                    f"whether it lives"
                )
            time.sleep(POLL_SECONDS)
            found = self._found()
        self._write()
        time.sleep(SETTLE_SECONDS)
        if not self.is_ours():
            raise ConfigError("a run must have one driver, but another began at the same moment")

    def is_ours(self) -> bool:
        """Return whether nobody else has taken the lease.

        Raises:
            OSError: The storage cannot be read.
        """
        return self._is_own(self._read())

    def keep(self) -> None:
        """Start renewing it every RENEW_SECONDS, until `stop` or until another driver has it."""
        self._thread.start()

    def stop(self) -> None:
        """Stop renewing it."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def renew(self) -> bool:
        """Renew it now and return True, or return False if another driver took over.

        Raises:
            OSError: The storage cannot be used.
        """
        with self._one_at_a_time:
            if not self.is_lost:
                found = self._read()
                is_ours = self._is_own(found) if found is not None else self._may_write()
                if is_ours:
                    self._write()
                else:
                    self.is_lost = True
                    self._lost()
        return not self.is_lost

    def release(self) -> None:
        """Release it if it is still ours.

        Raises:
            OSError: The storage cannot be used.
        """
        if self.is_ours():
            self._file_system.delete_file(self._path)

    def _run(self) -> None:
        while not (self._ending.wait(RENEW_SECONDS) or self.is_lost):
            with contextlib.suppress(*STORE_ERRORS):  # the copying thread reports it
                self.renew()

    def _is_own(self, found: Holder | None) -> bool:
        return found is not None and found.token == self._holder.token

    def _write(self) -> None:
        write(self._file_system, self._path, json.dumps(dataclasses.asdict(self._holder)).encode())

    def _read(self) -> Holder | None:
        if self._file_system.get_file_info(self._path).type == fs.FileType.NotFound:
            return None
        try:
            holder: Holder = parsed(read(self._file_system, self._path), Holder, LEASE_FILE)
        except FileNotFoundError:
            return None
        except ValueError:  # not written by us
            return Holder(host="an unknown machine", pid=0, started="", token="")
        return holder

    def _found(self) -> "_Found | None":
        """Return the existing lease; its age is measured by the storage's clock."""
        holder = self._read()
        if holder is None:
            return None
        clock_path = f"{self._path}.{self._holder.token}"
        write(self._file_system, clock_path, b"")
        now = self._file_system.get_file_info(clock_path).mtime
        self._file_system.delete_file(clock_path)
        written = self._file_system.get_file_info(self._path).mtime
        if written is None:  # released meanwhile
            return None
        return _Found(holder=holder, written=written, age_seconds=(now - written).total_seconds())


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    holder: Holder
    written: datetime
    age_seconds: float


def end_this_driver(
    place: object, say: Callable[[str], None], *, without_results: bool = False
) -> None:
    """End this driver as if the user had asked for it, because another one has its run.

    Args:
        place: What the other driver took over.
        say: Prints a line for the user.
        without_results: Whether to write nothing more, as after a second signal.
    """
    say(f"another driver took over {place}; this one ends")
    os.kill(os.getpid(), signal.SIGTERM)
    if without_results:
        os.kill(os.getpid(), signal.SIGINT)  # a different one: equal signals merge


def _started(pid: int) -> str:
    """Return when a process started; "" if there is none."""
    path = Path(f"/proc/{pid}/stat")  # a process name may be any bytes
    stat = _known(lambda: path.read_text(encoding="utf-8", errors="replace"))
    return stat.rpartition(")")[2].split()[19] if stat else ""


def _boot_id() -> str:
    """Return an id of this boot of the machine."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return _known(lambda: path.read_text(encoding="utf-8").strip())


def _pid_namespace() -> str:
    """Return the namespace of this process's number."""
    return _known(lambda: str(Path("/proc/self/ns/pid").readlink()))


def _known(read_it: Callable[[], str]) -> str:
    """Return what the system says, "" if it does not, as outside Linux."""
    try:
        return read_it()
    except OSError:
        return ""
