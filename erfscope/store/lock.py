"""One process at a time writes a map: a lock that network file systems keep, and a dead process gives up."""

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

#: After so long without a sign of life, a process on another machine counts as dead.
LEASE_SECONDS = 60.0
_WAIT_SECONDS, _POLL_SECONDS = 1.2 * LEASE_SECONDS, 0.5


@dataclass(frozen=True)
class Holder:
    """A process that holds a lock.

    Attributes
    ----------
    alive
        None where it runs on another machine, of which nothing is known but its signs of life.
    """

    host: str
    pid: int
    alive: bool | None

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@contextmanager
def locked(path: Path, wait: Callable[[str], None] = lambda reason: None) -> Iterator[Callable[[], None]]:
    """Hold the lock on `path`, a file `path.lock` beside it; yields a function that gives it up early.

    It needs no more than that a file is created by one process only, which NFS and Lustre guarantee. The
    holder touches it every now and then. One whose process is gone from this machine is taken over at once,
    and one of another machine after a minute without a sign of life; clocks are not compared. What a killed
    process left half written beside `path` is removed.

    Parameters
    ----------
    wait
        Is told in a line that a process on another machine is waited for, to see if it lives.

    Raises
    ------
    MapError
        Another process holds it, or the folder can't be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Threads share it, for the one that ends a process in time gives it up as well.
    lock = SoftFileLease(_lock_file(path), lease_duration=LEASE_SECONDS, timeout=0, thread_local=False)
    try:
        _acquire(lock, path, wait)
    except OSError as error:
        raise MapError(
            f"can't lock {path} ({error.strerror}); free space or choose another folder with --out"
        ) from error
    try:
        for left in path.parent.glob(f".{path.name}.*.tmp"):
            left.unlink(missing_ok=True)
        yield lambda: lock.release(force=True)
    finally:
        lock.release(force=True)


def holder(path: Path) -> Holder | None:
    """Return who holds the lock on `path`, None for nobody."""
    marker = _lock_file(path)
    owner = SoftFileLease(marker, lease_duration=LEASE_SECONDS).owner
    if owner is None:
        return None
    alive: bool | None = None
    if owner.hostname == _this_host():
        alive = _runs(owner.pid)
    elif _silence(marker) > 2 * LEASE_SECONDS:  # twice, for here two machines' clocks are compared
        alive = False
    return Holder(owner.hostname.partition("?")[0], owner.pid, alive)


def _acquire(lock: SoftFileLease, path: Path, wait: Callable[[str], None]) -> None:
    try:
        lock.acquire()
    except Timeout:
        found = holder(path)
        if found is not None and found.alive is None:
            wait(f"{path} is held by {found}; waiting a minute for a sign of life")
            with suppress(Timeout):
                lock.acquire(timeout=_WAIT_SECONDS, poll_interval=_POLL_SECONDS)
                return
        raise MapError(
            f"{path} is being written by {found or 'another process'}; wait for it, or choose another --out"
        ) from None


def _lock_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


@cache
def _this_host() -> str:
    """Return how a lock names this machine: by its host name and, in a container, by more."""
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
    return True
