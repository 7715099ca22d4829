"""`erfscope fit-gaussian`."""

from pathlib import Path
from typing import Any

import click

from erfscope.cli.output import Output, output_options, print_table
from erfscope.records.gaussian import GAUSSIAN_SHAPES

ERRORS = {
    "replicates": "± one standard error by the sampling of images: jackknife over {groups} groups",
    "fit": "± one standard error of the least-squares fit itself, too small for neighboring pixels correlate",
}


@click.command("fit-gaussian", context_settings={"show_default": True})
@click.argument("files", type=click.Path(path_type=Path), nargs=-1)
@click.option("--shape", type=click.Choice(("auto", *GAUSSIAN_SHAPES)), default="auto", help="What to fit.")
@click.option("--offset/--no-offset", "with_offset", default=True, help="Fit a constant below the Gaussian.")
@output_options
def fit_gaussian_command(output: Output, files: tuple[Path, ...], shape: str, with_offset: bool) -> None:
    """Fit a 2D Gaussian to each map FILE (erf.h5); beside it, one as the study fitted it.

    `auto` takes the smallest shape that no larger one beats at predicting image groups left out of the fit.
    The study's is axis-aligned and has no offset.
    """
    from erfscope.workflows.maps import load_erf
    from erfscope.workflows.measurements import fit_gaussian

    results: list[dict[str, Any]] = [
        {"file": str(file), **fit_gaussian(load_erf(file), shape, with_offset=with_offset).summary()}
        for file in files or (Path("erf.h5"),)
    ]

    def table() -> None:
        header = ("file", "shape", "x0 (px)", "y0 (px)", "σx (px)", "σy (px)", "θ (°)", "R²", "R² smoothed")
        rows = [row for result in results for row in _rows(result)]
        print_table(header, rows)
        for result in results:
            errors = ERRORS[result["stderr_source"]].format(**result)
            click.echo(f"{result['file']}: {result['asymmetry']['verdict']}\n{result['file']}: {errors}")
            for flag in result["flags"]:
                output.note(f"{result['file']}: {flag}")

    output.result({"results": results}, table)


def _rows(result: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        (result["file"], result["model"], *_numbers(result)),
        ("", "study: no offset", *_numbers(result["study"])),
    ]


def _numbers(fit: dict[str, Any]) -> list[str]:
    names = ("x0_px", "y0_px", "sigma_x_px", "sigma_y_px", "theta_deg")
    cells = [_with_error(fit[name], fit["stderr"][name]) for name in names]
    return [*cells, f"{fit['r_squared']:.3f}", f"{fit['r_squared_smoothed']:.3f}"]


def _with_error(value: float, stderr: float | None) -> str:
    return f"{value:.1f}" if stderr is None else f"{value:.1f} ± {stderr:.1f}"
