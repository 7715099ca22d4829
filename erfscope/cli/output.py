"""What every command shares: --json, -q, -v, tables, notes on stderr, and progress."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import click

SECONDS_BETWEEN_LINES = 30.0
UNWRAPPED = 1000  # columns

P = ParamSpec("P")


@dataclass(frozen=True)
class Output:
    """How a command talks: one JSON document or a short table on stdout, all else on stderr."""

    as_json: bool
    verbosity: int

    def result(self, document: Mapping[str, Any], table: Callable[[], None]) -> None:
        """Print the document as JSON, or call `table` to print it for people."""
        if self.as_json:
            click.echo(json.dumps(document, indent=2, allow_nan=False))
        elif self.verbosity >= 0:
            table()

    def note(self, text: str) -> None:
        """Print one line on stderr, unless -q."""
        if self.verbosity >= 0:
            click.echo(text, err=True)

    def warn(self, text: str) -> None:
        """Print one warning on stderr, also with -q: a result must not be trusted silently."""
        click.echo(f"warning: {text}", err=True)

    @contextmanager
    def progress(self, label: str, total: int) -> Iterator[Callable[[int, int], None]]:
        """Yield a function of (done, skipped) that shows images/s and the time left on stderr."""
        if self.verbosity < 0:
            yield lambda done, skipped: None
        elif sys.stderr.isatty():
            with _bar(label, total) as show:
                yield show
        else:
            yield _Lines(label, total)


def output_options(command: Callable[Concatenate[Output, P], None]) -> Callable[P, None]:
    """Add --json, -q and -v to a command, which gets them as its first argument, an `Output`."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout, nothing else.")
    @click.option("-q", "--quiet", is_flag=True, help="No table, no progress; warnings and errors only.")
    @click.option("-v", "--verbose", is_flag=True, help="Say more.")
    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        as_json, quiet, verbose = (bool(kwargs.pop(name)) for name in ("as_json", "quiet", "verbose"))
        command(Output(as_json, int(verbose) - int(quiet)), *args, **kwargs)

    return wrapped


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Print names and values, one a line."""
    rows = [(name, str(value)) for name, value in facts]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name:<{width}}  {value}")


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; the last column wraps at a terminal's edge, elsewhere a row is one line."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in header:
        table.add_column(title, overflow="fold", no_wrap=title != header[-1])
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    Console(highlight=False, width=None if sys.stdout.isatty() else UNWRAPPED).print(table)


@contextmanager
def _bar(label: str, total: int) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task(label, total=total, rate="")
        begun = time.monotonic()

        def show(done: int, skipped: int) -> None:
            rate = f"{done / max(time.monotonic() - begun, 1e-9):.2f} images/s"
            progress.update(task, completed=done + skipped, rate=rate)

        yield show


class _Lines:
    """Progress for a log file: one line at the end and every half minute."""

    def __init__(self, label: str, total: int) -> None:
        self.label, self.total = label, total
        self.begun = self.printed = time.monotonic()

    def __call__(self, done: int, skipped: int) -> None:
        now, seen = time.monotonic(), done + skipped
        if now - self.printed < SECONDS_BETWEEN_LINES and seen < self.total:
            return
        self.printed = now
        rate = seen / max(now - self.begun, 1e-9)
        left = f", {(self.total - seen) / rate:.0f} s left" if seen < self.total else ""
        click.echo(f"{self.label}: {seen}/{self.total} images, {rate:.2f} images/s{left}", err=True)
