"""Signals that ask a run to end: it finishes its step, saves, and can be resumed."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

EXIT_RESUMABLE = 75
#: Batch systems kill some 30 s after the signal, and we promise 10: what hasn't come round by then is left.
GRACE_SECONDS = 7.0

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)
)


@dataclass
class Stop:
    """Whether a signal came, and which.

    Attributes
    ----------
    on_deadline
        What another thread does, the last one first, before it ends a process that doesn't come round in
        time: one long step of a network can't be interrupted.
    """

    name: str = ""
    on_deadline: list[Callable[[], None]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.name)


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Within the block a signal ends the process with code 75: there is nothing to save.

    So it is during the slow imports. SystemExit isn't raised, for within an import of torch it would abort.
    """

    def end(number: int, frame: FrameType | None) -> None:
        leave(f"{signal.Signals(number).name}: ended at once; what was saved stays")

    with _handled(end):
        yield


@contextmanager
def stoppable(*, in_time: bool = False) -> Iterator[Stop]:
    """Within the block signals set a mark instead of ending the process; a second Ctrl-C ends it at once.

    Parameters
    ----------
    in_time
        Whether another thread ends the process, with code 75, where it hasn't come round `GRACE_SECONDS`
        after a signal.
    """
    stop = Stop()
    came: list[int] = []

    def mark(number: int, frame: FrameType | None) -> None:
        # Not by `stop`, which the other thread may set for the same signal.
        if came and number == signal.SIGINT:
            raise KeyboardInterrupt
        came.append(number)
        stop.name = signal.Signals(number).name

    with _handled(mark) as attended, _deadline(stop) if in_time and attended else nullcontext():
        yield stop


def leave(message: str) -> None:
    """End the process with code 75, from any thread, and say why."""
    # Not by print: a handler may interrupt one, whose buffer can't be entered twice.
    os.write(2, f"erfscope: {message}\n".encode())
    os._exit(EXIT_RESUMABLE)


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[bool]:
    """Yield whether signals are handled: only the main thread can do so, and only there they arrive."""
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
    """Let a thread end the process where the block isn't left in time after a signal.

    Python's handlers wait for the step that the main thread is in; the interpreter writes to a pipe at once.
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
        os.close(writer)  # which ends the thread's reading
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
    for say in reversed(stop.on_deadline):
        try:
            say()
        except Exception as error:  # whatever it is, the process must end
            os.write(2, f"erfscope: {error}\n".encode())
    leave(f"{stop.name}; one step takes too long to wait for; the same command with --resume goes on")
