"""`erfscope plot`."""

from pathlib import Path

import click

from erfscope.cli.output import Output, output_options

MAP_FILE = click.Path(path_type=Path)


def _names(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    """`star,gaussian` → ("star", "gaussian"); whether they exist is the drawing's to say."""
    from erfscope.report.map_view import SHOWABLE

    if value in ("all", "none"):
        return SHOWABLE if value == "all" else ()
    return tuple(name.strip() for name in value.split(",") if name.strip())


@click.command("plot", context_settings={"show_default": True})
@click.argument("file", type=MAP_FILE, default=Path("erf.h5"))
@click.option("--out", "-o", type=MAP_FILE, help="PNG, PDF or SVG file.  [default: FILE with .png]")
@click.option("--scale", default="log", help="log, linear or power (square root).")
@click.option(
    "--show",
    default="star",
    callback=_names,
    metavar="NAME,…",
    help="star, gaussian, prediction (marks on the map), profiles, residual (panels beside it); all, none.",
)
@click.option("--overwrite", is_flag=True, help="Replace the figure if it exists.")
@output_options
def plot_command(
    output: Output, file: Path, out: Path | None, scale: str, show: tuple[str, ...], overwrite: bool
) -> None:
    r"""Draw the map FILE (erf.h5): axes in pixels, the unit marked, the weights named.

    What is to be shown with it is measured first: circles at the star's blobs and squares through its
    rings, ellipses at 1σ and 2σ of the fitted Gaussian, crosses where the network's graph predicts blobs;
    cuts through the center and the radial profile; the map less the Gaussian.

    \b
    erfscope plot --show star,prediction --scale linear --out star.pdf
    erfscope plot --show all --out everything.svg
    """
    from erfscope.workflows.maps import load_erf

    figure_file = out or file.with_suffix(".png")
    load_erf(file).plot(figure_file, scale=scale, show=show, overwrite=overwrite)
    document = {"file": str(file), "out": str(figure_file), "scale": scale, "show": list(show)}
    output.result(document, lambda: click.echo(str(figure_file)))
