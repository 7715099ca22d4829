"""Progress of a training on stderr: loss, learning rate, images/s, and the time left."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from erfscope.cli.output import SECONDS_BETWEEN_LINES, Output

Row = dict[str, Any]


@contextmanager
def training_progress(output: Output, total: int) -> Iterator["Display"]:
    """Yield what shows rows of the log: a bar on a terminal, else a line now and then; nothing with -q."""
    if output.verbosity < 0:
        yield Display(total)
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            yield Bar(total, bar)
    else:
        yield Lines(total)


class Display:
    """Shows nothing."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.miou: float | None = None
        self._first: tuple[int, float] | None = None

    def __call__(self, row: Row) -> None:
        """Take a row: of a step, or of a validation."""
        if "loss" not in row:
            self.miou = row["miou"]
        elif self._first is None:
            self._first = row["iteration"], time.monotonic()
        self.show(row)

    def show(self, row: Row) -> None:
        """Show a row."""

    def words(self, row: Row) -> str:
        """Say what a row of a step tells."""
        rate = row["images_per_second"]
        speed = "" if rate is None else f", {rate:.2f} images/s"
        scored = "" if self.miou is None else f", mIoU {100 * self.miou:.2f} %"
        return f"loss {row['loss']:.4f}, lr {row['lr']:.2e}{speed}{scored}"

    def left(self, iteration: int) -> float | None:
        """Estimate the seconds left, by the steps of this session; None at its beginning."""
        if self._first is None or iteration <= self._first[0]:
            return None
        return (time.monotonic() - self._first[1]) / (iteration - self._first[0]) * (self.total - iteration)


class Bar(Display):
    """Shows a bar that `progress` of rich draws."""

    def __init__(self, total: int, progress: Any) -> None:
        super().__init__(total)
        self._progress = progress
        self._task = progress.add_task("", total=total)

    def show(self, row: Row) -> None:
        """Move the bar."""
        if "loss" in row:
            self._progress.update(self._task, completed=row["iteration"], description=self.words(row))


class Lines(Display):
    """Prints a line at the first step, every half minute, at validations, and at the end."""

    def __init__(self, total: int) -> None:
        super().__init__(total)
        self._printed = -SECONDS_BETWEEN_LINES

    def show(self, row: Row) -> None:
        """Print a line if it is time to."""
        at = f"iteration {row['iteration']}/{self.total}"
        if "loss" not in row:
            score = "undefined" if row["miou"] is None else f"{100 * row['miou']:.2f} %"
            click.echo(f"{at}: mIoU {score} on {row['val_images']} images", err=True)
            return
        now = time.monotonic()
        if now - self._printed >= SECONDS_BETWEEN_LINES or row["iteration"] == self.total:
            self._printed = now
            left = self.left(row["iteration"])
            rest = "" if left is None or row["iteration"] == self.total else f", {left:.0f} s left"
            click.echo(f"{at}: {self.words(row)}{rest}", err=True)
