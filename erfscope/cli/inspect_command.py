"""`erfscope inspect`."""

from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from erfscope.cli.output import Output, output_options, print_facts
from erfscope.cli.parameters import options_beside_spec

_HDF5 = b"\x89HDF\r\n\x1a\n"
_SUFFIXES = (".h5", ".hdf5")


@click.command("inspect")
@click.argument("spec", metavar="[MAP|CHECKPOINT]", default="erf.h5")
@options_beside_spec
@output_options
def inspect_command(output: Output, /, spec: str, network: dict[str, Any]) -> None:
    r"""Show what a map (erf.h5) or a checkpoint holds and where it comes from; -v shows more.

    \b
    erfscope inspect erf.h5
    erfscope inspect deeplabv3_r50-d8_769x769_80k_cityscapes.pth
    erfscope inspect smp:folder --json
    erfscope inspect deeplabv3 --backbone resnet18 --output-stride 16
    """
    verbose = output.verbosity > 0
    summary = _map(Path(spec)) if _is_map(Path(spec)) else _network(spec, network)
    output.result(summary, lambda: print_facts(_lines(summary, verbose=verbose)))
    for flag in summary.get("flags", ()):
        output.note(flag)


def _is_map(path: Path) -> bool:
    # Names too long, files that can't be read: what opens them says so.
    with suppress(OSError):
        if path.is_file():
            with path.open("rb") as file:
                return file.read(len(_HDF5)) == _HDF5 or path.suffix in _SUFFIXES
    return path.suffix in _SUFFIXES


def _map(path: Path) -> dict[str, Any]:
    from erfscope.workflows.maps import load_erf

    erf = load_erf(path)
    return {"file": str(path), **erf.summary(), "image_list": [asdict(record) for record in erf.records]}


def _network(spec: str, options: dict[str, Any]) -> dict[str, Any]:
    from erfscope.workflows.inspect_network import inspect_network

    return inspect_network(spec, **options)


def _lines(summary: dict[str, Any], *, verbose: bool) -> list[tuple[str, object]]:
    """One line a fact; nested facts as `weights.source`, lists by their length."""
    lines: list[tuple[str, object]] = []
    for name, value in summary.items():
        if isinstance(value, dict):
            hidden = name in ("engine", "identity", "versions", "host") and not verbose
            nested = [] if hidden else _lines(value, verbose=verbose)
            lines += [(f"{name}.{key}", item) for key, item in nested]
        elif isinstance(value, list) and (len(value) > 4 or (value and isinstance(value[0], dict))):
            lines.append((name, f"{len(value)} (--json lists them)"))
        elif value not in (None, "", []) and name != "flags":
            lines.append((name, value))
    return lines
