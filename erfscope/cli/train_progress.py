"""Progress of a training on stderr: loss, learning rate, images/s, and the time left."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from erfscope.cli.output import SECONDS_BETWEEN_LINES, Output

LogRow = dict[str, Any]


@contextmanager
def training_progress(output: Output, total: int) -> Iterator["TrainingDisplay"]:
    """Yield a function that shows a row of the log: as a bar on a terminal, else as a line now and then.

    `total` is the number of iterations. With -q nothing is shown.
    """
    if output.verbosity < 0:
        yield TrainingDisplay(total)
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            yield TrainingBar(total, bar)
    else:
        yield TrainingLines(total)


class TrainingDisplay:
    """Follows the rows of the log, and shows nothing."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.miou: float | None = None
        self._first: tuple[int, float] | None = None

    def __call__(self, row: LogRow) -> None:
        """Take a row of the log, of a step or of a validation, and show it."""
        if "loss" not in row:
            self.miou = row["miou"]
        elif self._first is None:
            self._first = row["iteration"], time.monotonic()
        self.show(row)

    def show(self, row: LogRow) -> None:
        """Show a row."""

    def words(self, row: LogRow) -> str:
        """Return loss, learning rate, speed and the last mIoU in words."""
        rate = row["images_per_second"]
        speed = "" if rate is None else f", {rate:.2f} images/s"
        scored = "" if self.miou is None else f", mIoU {100 * self.miou:.2f} %"
        return f"loss {row['loss']:.4f}, lr {row['lr']:.2e}{speed}{scored}"

    def seconds_left(self, iteration: int) -> float | None:
        """Estimate the seconds left, from the steps of this session; None at its first step."""
        if self._first is None or iteration <= self._first[0]:
            return None
        return (time.monotonic() - self._first[1]) / (iteration - self._first[0]) * (self.total - iteration)


class TrainingBar(TrainingDisplay):
    """Shows a bar on a terminal, drawn by a `rich.progress.Progress`."""

    def __init__(self, total: int, progress: Any) -> None:
        super().__init__(total)
        self._progress = progress
        self._task = progress.add_task("", total=total)

    def show(self, row: LogRow) -> None:
        """Move the bar."""
        if "loss" in row:
            self._progress.update(self._task, completed=row["iteration"], description=self.words(row))


class TrainingLines(TrainingDisplay):
    """Prints a line at the first step, every half minute, at validations, and at the end."""

    def __init__(self, total: int) -> None:
        super().__init__(total)
        self._printed = -SECONDS_BETWEEN_LINES

    def show(self, row: LogRow) -> None:
        """Print a line if it is time to."""
        at = f"iteration {row['iteration']}/{self.total}"
        if "loss" not in row:
            score = "undefined" if row["miou"] is None else f"{100 * row['miou']:.2f} %"
            click.echo(f"{at}: mIoU {score} on {row['val_images']} images", err=True)
            return
        now = time.monotonic()
        if now - self._printed >= SECONDS_BETWEEN_LINES or row["iteration"] == self.total:
            self._printed = now
            left = self.seconds_left(row["iteration"])
            rest = "" if left is None or row["iteration"] == self.total else f", {left:.0f} s left"
            click.echo(f"{at}: {self.words(row)}{rest}", err=True)
