"""`erfscope inspect`."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from erfscope.cli.output import Output, output_options, print_facts


@click.command("inspect")
@click.argument("file", type=click.Path(path_type=Path), default=Path("erf.h5"))
@output_options
def inspect_command(output: Output, file: Path) -> None:
    """Tell what the map FILE (erf.h5) holds and how it came about. With -v the engine's plan as well."""
    from erfscope.workflows.maps import load_erf

    erf = load_erf(file)
    summary = {"file": str(file), **erf.summary(), "image_list": [asdict(record) for record in erf.records]}
    verbose = output.verbosity > 0
    output.result(summary, lambda: print_facts(_lines(summary, verbose=verbose)))


def _lines(summary: dict[str, Any], *, verbose: bool) -> list[tuple[str, object]]:
    """One line a fact; nested facts as `weights.source`, lists by their length."""
    lines: list[tuple[str, object]] = []
    for name, value in summary.items():
        if isinstance(value, dict):
            hidden = name in ("engine", "versions", "host") and not verbose
            nested = [] if hidden else _lines(value, verbose=verbose)
            lines += [(f"{name}.{key}", item) for key, item in nested]
        elif isinstance(value, list) and len(value) > 4:
            lines.append((name, f"{len(value)} (--json lists them)"))
        elif value not in (None, "", []):
            lines.append((name, value))
    return lines
