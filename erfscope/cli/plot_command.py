"""`erfscope plot`."""

from pathlib import Path

import click

from erfscope.cli.output import Output, output_options
from erfscope.cli.parameters import PATH
from erfscope.records.choices import SCALES


def _names(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    """Read `star,gaussian` as ("star", "gaussian"); names are checked where they are drawn."""
    from erfscope.report.map_view import SHOWABLE

    if value in ("all", "none"):
        return SHOWABLE if value == "all" else ()
    return tuple(name.strip() for name in value.split(",") if name.strip())


@click.command("plot", context_settings={"show_default": True})
@click.argument("file", type=PATH, default=Path("erf.h5"))
@click.option(
    "--out",
    "-o",
    type=PATH,
    metavar="FIGURE",
    help="PNG, PDF or SVG file to write.  [default: FILE with .png]",
)
@click.option(
    "--scale",
    type=click.Choice(SCALES),
    default="log",
    help="Scale of the colors; power takes the square root.",
)
@click.option(
    "--show",
    default="star",
    callback=_names,
    metavar="NAME,…",
    help="What to draw: on the map star, gaussian, prediction; beside it profiles, residual; all or none.",
)
@click.option("--overwrite", is_flag=True, help="Replace the figure if it exists.")
@output_options
def plot_command(
    output: Output, file: Path, out: Path | None, scale: str, show: tuple[str, ...], overwrite: bool
) -> None:
    r"""Draw the map FILE (erf.h5): axes in pixels, the unit marked, the weights named.

    --show measures the map and draws the results: circles at the star's blobs and squares through its rings,
    ellipses at 1σ and 2σ of the fitted Gaussian, crosses where the network's graph predicts blobs, profiles
    through the center and around it, and the residual of the Gaussian.

    \b
    erfscope plot --show star,prediction --scale linear --out star.pdf
    erfscope plot --show all --out everything.svg
    """
    from erfscope.workflows.maps import load_erf

    figure_file = out or file.with_suffix(".png")
    load_erf(file).plot(figure_file, scale=scale, show=show, overwrite=overwrite)
    document = {"file": str(file), "out": str(figure_file), "scale": scale, "show": list(show)}
    output.result(document, lambda: click.echo(str(figure_file)))
