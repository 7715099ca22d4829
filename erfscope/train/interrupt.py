"""Signals that ask a run to end: it finishes its iteration, saves, and can be resumed."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)
)


@dataclass
class Stop:
    """Whether a signal came, and which."""

    name: str = ""

    def __bool__(self) -> bool:
        return bool(self.name)


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Within the block signals set a mark instead of ending the process; a second Ctrl-C ends it at once."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():  # only there signals arrive
        yield stop
        return

    def mark(number: int, frame: FrameType | None) -> None:
        if stop and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.name = signal.Signals(number).name

    before: dict[int, Any] = {each: signal.signal(each, mark) for each in _SIGNALS}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
