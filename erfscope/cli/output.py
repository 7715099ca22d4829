"""What every command prints: one JSON document or a table on stdout, and notes and progress on stderr."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import click

from erfscope.cli.progress import image_progress, training_progress

UNWRAPPED = 1000  # columns

P = ParamSpec("P")


@dataclass(frozen=True)
class Output:
    """Prints one JSON document or a short table on stdout, and all else on stderr."""

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
        """Print one warning on stderr, also with -q."""
        click.echo(f"warning: {text}", err=True)

    def progress(self, label: str, total: int) -> AbstractContextManager[Callable[[int, int], None]]:
        """Open a display of images, a function of the numbers done and skipped; it shows nothing with -q."""
        return image_progress(label, total, quiet=self.verbosity < 0)

    def training(self, label: str, total: int) -> AbstractContextManager[Callable[[Mapping[str, Any]], None]]:
        """Open a display of iterations, a function of the rows of a training's log."""
        return training_progress(label, total, quiet=self.verbosity < 0)


def output_options(command: Callable[Concatenate[Output, P], None]) -> Callable[P, None]:
    """Add --json, -q and -v to a command; its first argument becomes an `Output`."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout, nothing else.")
    @click.option("-q", "--quiet", is_flag=True, help="Print only warnings and errors, no table or progress.")
    @click.option("-v", "--verbose", is_flag=True, help="Print more.")
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
