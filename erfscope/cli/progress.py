"""Progress on stderr: a bar on a terminal, a line now and then in a log file, nothing with -q."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

SECONDS_BETWEEN_LINES = 30.0


@contextmanager
def image_progress(label: str, total: int, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Yield a function of the numbers of images done and skipped so far, of `total`."""
    with _open_display(label, total, "images", quiet=quiet) as display:

        def show(done: int, skipped: int) -> None:
            display.update(done + skipped)

        yield show


@contextmanager
def training_progress(
    label: str, total: int, *, quiet: bool
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Yield a function of the rows of a training's log, one a step or validation, of `total` iterations."""
    with _open_display(label, total, "iterations", quiet=quiet) as display:
        miou: float | None = None

        def show(row: Mapping[str, Any]) -> None:
            nonlocal miou
            if "loss" in row:
                display.update(row["iteration"], _describe_step(row, miou))
            else:
                miou = row["miou"]
                display.note(f"mIoU {_percent(miou)} on {row['val_images']} images")

        yield show


def _describe_step(row: Mapping[str, Any], miou: float | None) -> str:
    rate = row["images_per_second"]
    speed = "" if rate is None else f", {rate:.2f} images/s"
    score = "" if miou is None else f", mIoU {_percent(miou)}"
    return f"loss {row['loss']:.4f}, lr {row['lr']:.2e}{speed}{score}"


def _percent(share: float | None) -> str:
    return "undefined" if share is None else f"{100 * share:.2f} %"


@contextmanager
def _open_display(label: str, total: int, noun: str, *, quiet: bool) -> Iterator["ProgressDisplay"]:
    if quiet:
        yield ProgressDisplay(label, total, noun)
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
        with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
            yield ProgressBar(label, total, noun, bar)
    else:
        yield ProgressLines(label, total, noun)


class ProgressDisplay:
    """Counts what is done of `total`, and shows nothing."""

    def __init__(self, label: str, total: int, noun: str) -> None:
        self._label, self._total, self._noun = label, total, noun
        self._begun = time.monotonic()
        self._first: tuple[int, float] | None = None

    def update(self, done: int, words: str = "") -> None:
        """Take how many are done so far, and what to say of it: by default the speed."""
        speed = self._measure_speed(done)
        left = (self._total - done) / speed if speed else None
        self._show(done, words or f"{speed:.2f} {self._noun}/s", left)

    def _measure_speed(self, done: int) -> float:
        """Return how many are done a second, since the first update where there is one.

        The first takes longer than the others, and counts what an earlier run had done.
        """
        now = time.monotonic()
        before, begun = self._first or (0, self._begun)
        self._first = self._first or (done, now)
        return (done - before) / max(now - begun, 1e-9)

    def note(self, words: str) -> None:
        """Take what is worth a line of its own."""

    def _show(self, done: int, words: str, seconds_left: float | None) -> None:
        pass


class ProgressBar(ProgressDisplay):
    """Moves a bar of rich's."""

    def __init__(self, label: str, total: int, noun: str, bar: Any) -> None:
        super().__init__(label, total, noun)
        self._bar, self._task = bar, bar.add_task("", total=total)

    def _show(self, done: int, words: str, seconds_left: float | None) -> None:
        self._bar.update(self._task, completed=done, description=words)


class ProgressLines(ProgressDisplay):
    """Prints a line every half minute and at the end."""

    def __init__(self, label: str, total: int, noun: str) -> None:
        super().__init__(label, total, noun)
        self._printed = self._begun
        self._done = 0

    def note(self, words: str) -> None:
        """Print a line at once."""
        click.echo(f"{self._label}: {self._done}/{self._total} {self._noun}, {words}", err=True)

    def _show(self, done: int, words: str, seconds_left: float | None) -> None:
        self._done, now = done, time.monotonic()
        if now - self._printed < SECONDS_BETWEEN_LINES and done < self._total:
            return
        self._printed = now
        left = "" if seconds_left is None or done >= self._total else f", {seconds_left:.0f} s left"
        self.note(words + left)
