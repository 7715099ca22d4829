"""`erfscope demo`."""

from pathlib import Path

import click

from erfscope.cli.output import Output, output_options, print_facts
from erfscope.cli.parameters import PATH


@click.command("demo", context_settings={"show_default": True})
@click.option(
    "--out", "-o", type=PATH, default=Path("demo"), metavar="FOLDER", help="Folder for the results."
)
@click.option(
    "--images",
    type=click.IntRange(1),
    default=12,
    metavar="N",
    help="Number of synthetic images; 12 take about a minute.",
)
@click.option("--size", type=click.IntRange(1), default=769, metavar="SIDE", help="Side of the images, px.")
@click.option("--overwrite", is_flag=True, help="Replace earlier results.")
@output_options
def demo_command(output: Output, out: Path, images: int, size: int, overwrite: bool) -> None:
    """Run the whole tool on synthetic images: DeepLabV3's map, its star, a Gaussian and figures."""
    from erfscope.workflows.run_demo import demo

    result = demo(
        out, images=images, size=size, overwrite=overwrite, warn=output.warn, progress=output.progress
    )
    star, fit = result["star"], result["gaussian"]
    width = star["center_to_center_px"]
    measured = "no star found" if width is None else f"{width:.1f} px from center to center"
    output.result(
        result,
        lambda: print_facts(
            [
                ("found", f"{star['pattern']}: {measured}; by the formula 2 · 36 · 8 = 576 px"),
                ("rings", ", ".join(f"{ring['distance_px']:.1f}" for ring in star["rings"]) + " px"),
                (
                    "Gaussian",
                    f"σx {fit['sigma_x_px']:.0f}, σy {fit['sigma_y_px']:.0f} px, R² {fit['r_squared']:.2f}",
                ),
                ("images", f"{result['images']} in {result['seconds']:.0f} s"),
                ("map", result["map"]),
                *(("figure", figure) for figure in result["figures"]),
            ]
        ),
    )
