"""A lock that lets one process at a time write a file, also on network file systems and after a crash."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import SoftFileLease, Timeout

from erfscope.errors import MapError

#: A process on another machine that hasn't touched its lock for so long counts as dead.
LEASE_SECONDS = 60.0
_WAIT_SECONDS, _POLL_SECONDS = 1.2 * LEASE_SECONDS, 0.5


@dataclass(frozen=True)
class Holder:
    """A process that holds a lock.

    Attributes
    ----------
    host, pid
        Name of its machine, and its number there.
    here
        Whether it runs on this machine.
    alive
        Whether it still runs; None for a process on another machine that may.
    """

    host: str
    pid: int
    here: bool
    alive: bool | None

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class Hold:
    """A lock that this process holds."""

    def __init__(self, path: Path, lease: SoftFileLease) -> None:
        self._path, self._lease = path, lease

    def give_up(self) -> None:
        """Release the lock before the block ends."""
        self._lease.release(force=True)

    def check(self) -> None:
        """Refuse to go on if another process has taken the lock over, because this one was suspended, say.

        Raises
        ------
        MapError
            Another process holds the lock.
        """
        if self._lease.owner is not None and not self._lease.is_lock_held_by_us:
            raise MapError(
                f"{self._path} was taken over by {holder(self._path)} because this process gave no sign of "
                "life for a minute; what it has done since is dropped"
            )


@contextmanager
def locked(path: Path, wait: Callable[[str], None] = lambda reason: None) -> Iterator[Hold]:
    """Hold the lock on `path`, a file `path.lock` beside it.

    The lock relies only on a file being created by a single process, which NFS and Lustre guarantee. The
    holder touches the file now and then. A lock is taken over at once if its process on this machine has
    ended, and after a minute without a touch if its process is on another machine; clocks are not compared.
    What a killed process left half written beside `path` is removed.

    Parameters
    ----------
    wait
        Receives one line if a process on another machine has to be waited for, to see whether it lives.

    Raises
    ------
    MapError
        Another process holds it, or the folder can't be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _lease(path)
    try:
        _acquire(lock, path, wait)
    except OSError as error:
        raise MapError(
            f"can't lock {path} ({error.strerror}); free space or choose another folder with --out"
        ) from error
    try:
        for left in path.parent.glob(f".{path.name}.*.tmp"):
            left.unlink(missing_ok=True)
        yield Hold(path, lock)
    finally:
        lock.release(force=True)


def holder(path: Path) -> Holder | None:
    """Return the process that holds the lock on `path`; None if nobody does."""
    marker = _lock_file(path)
    owner = _lease(path).owner
    if owner is None:
        return None
    here, alive = owner.hostname == _this_host(), None
    if here:
        alive = _runs(owner.pid)
    elif _silence(marker) > 2 * LEASE_SECONDS:  # twice, because here the clocks of two machines are compared
        alive = False
    return Holder(owner.hostname.partition("?")[0], owner.pid, here, alive)


def _acquire(lock: SoftFileLease, path: Path, wait: Callable[[str], None]) -> None:
    with suppress(Timeout):
        lock.acquire()
        return
    found = holder(path)
    if found is not None and found.here and not found.alive:
        # The process has ended, but its parent hasn't waited for it, so that its number is still taken.
        lock.force_break()
        with suppress(Timeout):
            lock.acquire()
            return
    elif found is not None and not found.here:
        wait(f"{path} is held by {found}; waiting a minute for a sign of life")
        with suppress(Timeout):
            lock.acquire(timeout=_WAIT_SECONDS, poll_interval=_POLL_SECONDS)
            return
    raise MapError(
        f"{path} is being written by {found or 'another process'}; wait for it, or choose another --out"
    )


def _lease(path: Path) -> SoftFileLease:
    # Threads share the lease, because the thread that ends a process in time releases it, too.
    return SoftFileLease(_lock_file(path), lease_duration=LEASE_SECONDS, timeout=0, thread_local=False)


def _lock_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


@cache
def _this_host() -> str:
    """Return the name that locks have for this machine: the host name and, in a container, more."""
    with TemporaryDirectory() as folder, SoftFileLease(Path(folder) / "lock") as lock:
        return lock.owner.hostname if lock.owner else ""


def _silence(marker: Path) -> float:
    with suppress(OSError):
        return time.time() - marker.stat().st_mtime
    return 0.0


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    with suppress(OSError):  # no Linux
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state not in ("Z", "X")
    return True
