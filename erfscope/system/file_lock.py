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
    here
        Whether it runs on this machine.
    alive
        None where it runs on another machine, of which nothing is known but its signs of life.
    """

    host: str
    pid: int
    here: bool
    alive: bool | None

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class Hold:
    """A lock that is held."""

    def __init__(self, path: Path, lease: SoftFileLease) -> None:
        self._path, self._lease = path, lease

    def give_up(self) -> None:
        """Let others have it before the block ends."""
        self._lease.release(force=True)

    def check(self) -> None:
        """Refuse to go on where another process has taken it over, from one that was suspended, say.

        Raises
        ------
        MapError
            It is another's.
        """
        if self._lease.owner is not None and not self._lease.is_lock_held_by_us:
            raise MapError(
                f"{self._path} was taken over by {holder(self._path)}, for this process gave no sign of life "
                "for a minute; what it has done since is dropped"
            )


@contextmanager
def locked(path: Path, wait: Callable[[str], None] = lambda reason: None) -> Iterator[Hold]:
    """Hold the lock on `path`, a file `path.lock` beside it.

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
    """Return who holds the lock on `path`, None for nobody."""
    marker = _lock_file(path)
    owner = _lease(path).owner
    if owner is None:
        return None
    here, alive = owner.hostname == _this_host(), None
    if here:
        alive = _runs(owner.pid)
    elif _silence(marker) > 2 * LEASE_SECONDS:  # twice, for here two machines' clocks are compared
        alive = False
    return Holder(owner.hostname.partition("?")[0], owner.pid, here, alive)


def _acquire(lock: SoftFileLease, path: Path, wait: Callable[[str], None]) -> None:
    with suppress(Timeout):
        lock.acquire()
        return
    found = holder(path)
    if found is not None and found.here and not found.alive:
        # It has ended, but nobody has waited for it yet, so that its number is still taken.
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
    # Threads share it, for the one that ends a process in time gives it up as well.
    return SoftFileLease(_lock_file(path), lease_duration=LEASE_SECONDS, timeout=0, thread_local=False)


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
    with suppress(OSError):  # no Linux
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state not in ("Z", "X")
    return True
