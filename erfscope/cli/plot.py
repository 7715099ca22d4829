"""`erfscope plot`."""

from pathlib import Path

import click

from erfscope.cli.output import Output, output_options

MAP_FILE = click.Path(path_type=Path)


@click.command("plot", context_settings={"show_default": True})
@click.argument("file", type=MAP_FILE, default=Path("erf.h5"))
@click.option("--out", "-o", type=MAP_FILE, help="PNG, PDF or SVG file.  [default: FILE with .png]")
@click.option("--scale", default="log", help="log, linear or power (square root).")
@click.option("--overwrite", is_flag=True, help="Replace the figure if it exists.")
@output_options
def plot_command(output: Output, file: Path, out: Path | None, scale: str, overwrite: bool) -> None:
    """Draw the map FILE (erf.h5): axes in pixels, the unit marked, the weights named."""
    from erfscope.report.figures import draw_map, save_figure
    from erfscope.workflows.maps import load_erf

    figure_file = out or file.with_suffix(".png")
    save_figure(draw_map(load_erf(file), scale=scale), figure_file, overwrite=overwrite)
    output.result(
        {"file": str(file), "out": str(figure_file), "scale": scale}, lambda: click.echo(str(figure_file))
    )
