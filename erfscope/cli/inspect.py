"""`erfscope inspect`."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from erfscope.cli.output import Output, output_options, print_facts

_HDF5 = b"\x89HDF\r\n\x1a\n"


@click.command("inspect")
@click.argument("spec", metavar="[MAP|CHECKPOINT]", default="erf.h5")
@click.option("--config", type=click.Path(path_type=Path), help="Description of a checkpoint without one.")
@click.option("--allow-partial", is_flag=True, help="Take weights that match less than 95 %.")
@click.option("--trust", is_flag=True, help="Allow a file that may run code when it is loaded.")
@output_options
def inspect_command(output: Output, /, spec: str, **options: Any) -> None:
    r"""Tell what a map (erf.h5) or a checkpoint holds and how it came about; -v says more.

    \b
    erfscope inspect erf.h5
    erfscope inspect deeplabv3_r50-d8_769x769_80k_cityscapes.pth
    erfscope inspect smp:folder --json
    """
    verbose = output.verbosity > 0
    summary = _map(Path(spec)) if _is_map(Path(spec)) else _network(spec, options)
    output.result(summary, lambda: print_facts(_lines(summary, verbose=verbose)))
    for flag in summary.get("flags", ()):
        output.note(flag)


def _is_map(path: Path) -> bool:
    if not path.is_file():
        return path.suffix in (".h5", ".hdf5")
    with path.open("rb") as file:
        return file.read(len(_HDF5)) == _HDF5 or path.suffix in (".h5", ".hdf5")


def _map(path: Path) -> dict[str, Any]:
    from erfscope.workflows.maps import load_erf

    erf = load_erf(path)
    return {"file": str(path), **erf.summary(), "image_list": [asdict(record) for record in erf.records]}


def _network(spec: str, options: dict[str, Any]) -> dict[str, Any]:
    from erfscope.workflows.inspect import inspect_network

    return inspect_network(spec, **options)


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
        elif value not in (None, "", []) and name != "flags":
            lines.append((name, value))
    return lines
