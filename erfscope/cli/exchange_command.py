"""`erfscope import` and `erfscope export`."""

from pathlib import Path

import click

from erfscope.cli.output import Output, output_options
from erfscope.cli.parameters import UNIT

_FILE = click.Path(path_type=Path)


@click.command("import")
@click.argument("array", type=_FILE)
@click.argument("out", type=_FILE)
@click.option("--unit", type=UNIT, help="Y,X of the unit, px.  [default: the center]")
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
@output_options
def import_command(
    output: Output, array: Path, out: Path, unit: tuple[int, int] | str | None, overwrite: bool
) -> None:
    """Make the map OUT (.h5) of ARRAY (.npy): (H, W), or (G, H, W) partial sums over image groups."""
    from erfscope.workflows.maps import import_array

    if isinstance(unit, str):
        raise click.BadParameter(f"{unit!r} is no pixel; an array has no layers", param_hint="--unit")
    erf = import_array(array, out, unit=unit, overwrite=overwrite)
    output.result({"out": str(out), **erf.summary()}, lambda: click.echo(str(out)))


@click.command("export")
@click.argument("file", type=_FILE)
@click.argument("out", type=_FILE)
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
@output_options
def export_command(output: Output, file: Path, out: Path, overwrite: bool) -> None:
    """Write the map FILE as OUT: .npy, .csv, .tiff (float32) or .png (16-bit gray, linear)."""
    from erfscope.store.exchange import export_map
    from erfscope.workflows.maps import load_erf

    export_map(load_erf(file), out, overwrite=overwrite)
    output.result({"file": str(file), "out": str(out)}, lambda: click.echo(str(out)))
