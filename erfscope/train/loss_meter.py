"""Losses and speed of a run, read from the device now and then."""

import time
from dataclasses import dataclass, field

import torch

from erfscope.system.process_group import ProcessGroup


@dataclass
class LossMeter:
    """Losses and time of the steps of one session.

    A window is the steps since the last row of the log.

    Attributes
    ----------
    processes
        Over which losses are averaged.
    images_per_step
        Images of one step, of all processes together.
    images, seconds
        Images of all steps of the session that were read, and the time that these steps took.
    """

    processes: ProcessGroup
    images_per_step: int
    images: int = 0
    seconds: float = 0.0
    _unread: list[torch.Tensor] = field(default_factory=list)
    _window: list[float] = field(default_factory=list)
    _window_began: float = 0.0
    _clock: float = 0.0

    def start(self) -> None:
        """Start the clock; the time before it, of a validation say, isn't counted."""
        self._clock = time.perf_counter()

    def add(self, loss: torch.Tensor) -> None:
        """Take this process's loss of one step, a scalar; it isn't read from the device yet."""
        self._unread.append(loss)

    @property
    def unread(self) -> int:
        """Number of losses that are not read yet."""
        return len(self._unread)

    def read(self) -> tuple[list[float], float]:
        """Return the unread losses, means over the processes, and the seconds since the last reading."""
        losses: list[float] = (self.processes.sum(torch.stack(self._unread)) / self.processes.size).tolist()
        self._unread.clear()
        now = time.perf_counter()
        elapsed, self._clock = now - self._clock, now
        self.seconds += elapsed
        self.images += len(losses) * self.images_per_step
        self._window += losses
        return losses, elapsed

    @property
    def speed(self) -> float | None:
        """Images per second in this session; None before the first reading."""
        return self.images / self.seconds if self.seconds else None

    @property
    def window_loss(self) -> float:
        """Mean loss of the window."""
        return sum(self._window) / len(self._window)

    @property
    def window_speed(self) -> float | None:
        """Images per second in the window."""
        seconds = self.seconds - self._window_began
        return len(self._window) * self.images_per_step / seconds if seconds else None

    def close_window(self) -> None:
        """Begin the next window."""
        self._window.clear()
        self._window_began = self.seconds
