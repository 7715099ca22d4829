"""Losses and speed of a run, read from the device now and then."""

import time
from dataclasses import dataclass, field

import torch

from erfscope.train.distributed import World


@dataclass
class Tally:
    """What steps add up to.

    Attributes
    ----------
    images_a_step
        Of all processes.
    images, busy
        Since the beginning of the session, and the seconds that their steps took.
    """

    world: World
    images_a_step: int
    images: int = 0
    busy: float = 0.0
    _waiting: list[torch.Tensor] = field(default_factory=list)
    _window: list[float] = field(default_factory=list)
    _window_began: float = 0.0
    _clock: float = 0.0

    def start(self) -> None:
        """Begin to count the time, after what is no step."""
        self._clock = time.perf_counter()

    def add(self, loss: torch.Tensor) -> None:
        """Take in this process's loss of one step; it isn't read yet."""
        self._waiting.append(loss)

    @property
    def unread(self) -> int:
        """How many losses wait."""
        return len(self._waiting)

    def read(self) -> tuple[list[float], float]:
        """Return the losses that waited, means over the processes, and the seconds since the last reading."""
        losses: list[float] = (self.world.sum(torch.stack(self._waiting)) / self.world.size).tolist()
        self._waiting.clear()
        now = time.perf_counter()
        seconds, self._clock = now - self._clock, now
        self.busy += seconds
        self.images += len(losses) * self.images_a_step
        self._window += losses
        return losses, seconds

    @property
    def speed(self) -> float | None:
        """Images per second in this session; None before any."""
        return self.images / self.busy if self.busy else None

    @property
    def steps(self) -> int:
        """Of the window: since the last row of the log."""
        return len(self._window)

    @property
    def window_loss(self) -> float:
        """Mean loss of the window."""
        return sum(self._window) / len(self._window)

    @property
    def window_speed(self) -> float | None:
        """Images per second in the window."""
        seconds = self.busy - self._window_began
        return self.steps * self.images_a_step / seconds if seconds else None

    def close_window(self) -> None:
        """Begin the next window."""
        self._window.clear()
        self._window_began = self.busy
