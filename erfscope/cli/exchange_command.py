"""`erfscope import` and `erfscope export`."""

from pathlib import Path

import click

from erfscope.cli.output import Output, output_options
from erfscope.cli.parameters import PATH, PIXEL


@click.command("import")
@click.argument("array", type=PATH)
@click.argument("out", type=PATH)
@click.option("--unit", type=PIXEL, help="Pixel of the unit, (y, x).  [default: the center]")
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
@output_options
def import_command(
    output: Output, array: Path, out: Path, unit: tuple[int, int] | None, overwrite: bool
) -> None:
    """Make a map OUT (.h5) from ARRAY (.npy): (H, W), or (G, H, W) partial sums over image groups."""
    from erfscope.workflows.maps import import_array

    erf = import_array(array, out, unit=unit, overwrite=overwrite)
    output.result({"out": str(out), **erf.summary()}, lambda: click.echo(str(out)))


@click.command("export")
@click.argument("file", type=PATH)
@click.argument("out", type=PATH)
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
@output_options
def export_command(output: Output, file: Path, out: Path, overwrite: bool) -> None:
    """Write the map FILE to OUT: .npy, .csv, .tiff (float32) or .png (16-bit gray, linear)."""
    from erfscope.store.exchange import export_map
    from erfscope.workflows.maps import load_erf

    export_map(load_erf(file), out, overwrite=overwrite)
    output.result({"file": str(file), "out": str(out)}, lambda: click.echo(str(out)))
