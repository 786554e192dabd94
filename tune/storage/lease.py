"""One driver a run, also where two machines share nothing but the storage.

A driver writes its name into driver.json in the run's storage, again and again. Another one
waits until that has gone stale, and gives up if it is renewed. Object stores of old have no
compare-and-set, so this is a convention, not a lock: two drivers that start within the same
second may both go on for RENEW_SECONDS; then the one whose name was replaced ends.
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
"""Age of a lease from which its driver is taken for dead."""
RENEW_SECONDS = 10.0
POLL_SECONDS = 1.0
SETTLE_SECONDS = 1.0
"""Wait after taking a lease, before a driver looks whether another took it too."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """Who drives a run.

    Attributes:
        host: The machine's name.
        pid: The process.
        started: What tells it from a later process of that number, "" where not known.
        token: Random, unique to one lease.
        boot_id: The machine's, since it was started; "" where not known, as in older leases.
        pid_namespace: What the process's number counts in, "" as before.
    """

    host: str
    pid: int
    started: str
    token: str
    boot_id: str = ""
    pid_namespace: str = ""

    @classmethod
    def this_process(cls) -> "Holder":
        """Return a holder of a new lease."""
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
        """Return whether it is surely dead: a process that would be seen here is no more.

        Containers may share a host's name, and each has processes that the others do not see.
        """
        where = self.host, self.boot_id, self.pid_namespace
        is_known = "" not in (self.started, *where)
        is_here = where == (platform.node(), _boot_id(), _pid_namespace())
        return is_known and is_here and _started(self.pid) != self.started


class Lease:
    """A driver's lease of a run.

    Attributes:
        is_lost: Whether another driver took over, as far as is known.
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
            may_write: Says whether it may be written again where nobody has it: it was removed,
                by another driver that had taken it and has ended, or by hand.
            lost: Called once, when another driver took over.
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
        """Take the lease; waits for one that may have a living holder.

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
        """Return whether nobody else has taken it.

        Raises:
            OSError: The storage cannot be read.
        """
        return self._is_own(self._read())

    def keep(self) -> None:
        """Begin to renew it every RENEW_SECONDS, until `stop` or until another driver has it."""
        self._thread.start()

    def stop(self) -> None:
        """Renew it no more."""
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
        """Give it back if it is ours still.

        Raises:
            OSError: The storage cannot be used.
        """
        if self.is_ours():
            self._file_system.delete_file(self._path)

    def _run(self) -> None:
        while not (self._ending.wait(RENEW_SECONDS) or self.is_lost):
            with contextlib.suppress(*STORE_ERRORS):  # the copying thread tells of it
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
        """Return the lease that there is; its age is by the storage's own clock."""
        holder = self._read()
        if holder is None:
            return None
        clock_path = f"{self._path}.{self._holder.token}"
        write(self._file_system, clock_path, b"")
        now = self._file_system.get_file_info(clock_path).mtime
        self._file_system.delete_file(clock_path)
        written = self._file_system.get_file_info(self._path).mtime
        if written is None:  # given back meanwhile
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
    """End this driver as if the user had asked for it: another one has its run.

    Args:
        place: What it took over.
        say: Prints a line for the user.
        without_results: Whether nothing more may be written, as a second signal has it.
    """
    say(f"another driver took over {place}; this one ends")
    os.kill(os.getpid(), signal.SIGTERM)
    if without_results:
        os.kill(os.getpid(), signal.SIGINT)  # another one: of equal ones the second is lost


def _started(pid: int) -> str:
    """Return when a process started; "" if there is none."""
    path = Path(f"/proc/{pid}/stat")  # a process may have any bytes for a name
    stat = _known(lambda: path.read_text(encoding="utf-8", errors="replace"))
    return stat.rpartition(")")[2].split()[19] if stat else ""


def _boot_id() -> str:
    """Return what tells this start of the machine from all others."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return _known(lambda: path.read_text(encoding="utf-8").strip())


def _pid_namespace() -> str:
    """Return the namespace in which this process has its number."""
    return _known(lambda: str(Path("/proc/self/ns/pid").readlink()))


def _known(read_it: Callable[[], str]) -> str:
    """Return what the system tells, "" if it does not: this is no Linux, say."""
    try:
        return read_it()
    except OSError:
        return ""
