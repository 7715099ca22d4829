"""Let signals end a run at a whole step, so that it is saved and can be resumed."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

EXIT_RESUMABLE = 75
#: Batch systems kill a process some 30 s after the signal, and we promise to end within 10 s.
GRACE_SECONDS = 7.0

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)
)


@dataclass
class Stop:
    """True once a signal has come.

    Attributes
    ----------
    name
        The signal's name; "" before one has come.
    on_deadline
        Functions that another thread calls, the last one first, before it ends a process whose current step
        takes too long: a step of a network can't be interrupted.
    """

    name: str = ""
    on_deadline: list[Callable[[], None]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.name)


@contextmanager
def ending_at_once() -> Iterator[None]:
    """End the process at once, with code 75, if a signal comes within the block: nothing has to be saved.

    This is for the slow imports. A handler can't raise SystemExit there, because torch would abort.
    """

    def end(number: int, frame: FrameType | None) -> None:
        leave(f"{signal.Signals(number).name}: ended at once; what was saved stays")

    with _handled(end):
        yield


@contextmanager
def stoppable(*, in_time: bool = False) -> Iterator[Stop]:
    """Yield a `Stop` that signals within the block set to true; a second Ctrl-C raises `KeyboardInterrupt`.

    Parameters
    ----------
    in_time
        Whether another thread ends the process, with code 75, if the block isn't left `GRACE_SECONDS` after
        a signal.
    """
    stop = Stop()
    received: list[int] = []

    def mark(number: int, frame: FrameType | None) -> None:
        # `stop` can't tell whether this signal is the first: the other thread may have set it.
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)
        stop.name = signal.Signals(number).name

    with _handled(mark) as handled, _deadline(stop) if in_time and handled else nullcontext():
        yield stop


def leave(message: str) -> None:
    """Print a message on stderr and end the process with code 75, from any thread."""
    # A handler may interrupt `print`, whose buffer can't be entered twice; `os.write` has none.
    os.write(2, f"erfscope: {message}\n".encode())
    os._exit(EXIT_RESUMABLE)


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[bool]:
    """Set the handler of all signals within the block; yield False outside the main thread, which can't."""
    if threading.current_thread() is not threading.main_thread():
        yield False
        return
    before: dict[int, Any] = {each: signal.signal(each, handler) for each in SIGNALS}
    try:
        yield True
    finally:
        for each, handler_before in before.items():
            signal.signal(each, handler_before)


@contextmanager
def _deadline(stop: Stop) -> Iterator[None]:
    """Let a thread end the process if the block isn't left in time after a signal.

    Python calls a handler only after the main thread's current step; but it writes each signal's number to a
    pipe at once, and the thread reads from that.
    """
    left = threading.Event()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    thread = threading.Thread(target=_watch, args=(reader, stop, left), daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        left.set()
        os.close(writer)  # ends the thread's reading
        thread.join()
        os.close(reader)


def _watch(reader: int, stop: Stop, left: threading.Event) -> None:
    while number := os.read(reader, 1):
        if number[0] in SIGNALS:
            stop.name = stop.name or signal.Signals(number[0]).name
            break
    else:
        return
    if left.wait(GRACE_SECONDS):
        return
    for act in reversed(stop.on_deadline):
        try:
            act()
        except Exception as error:  # whatever it is, the process must end
            os.write(2, f"erfscope: {error}\n".encode())
    leave(f"{stop.name}; one step takes too long to wait for; the same command with --resume goes on")
