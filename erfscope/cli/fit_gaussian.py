"""`erfscope fit-gaussian`."""

from pathlib import Path
from typing import Any

import click

from erfscope.cli.output import Output, output_options, print_table


@click.command("fit-gaussian", context_settings={"show_default": True})
@click.argument("files", type=click.Path(path_type=Path), nargs=-1)
@click.option("--shape", default="axis-aligned", help="symmetric, axis-aligned or rotated.")
@output_options
def fit_gaussian_command(output: Output, files: tuple[Path, ...], shape: str) -> None:
    """Fit a 2D Gaussian with an offset to each map FILE (erf.h5); beside it, one as the study fitted it."""
    from erfscope.workflows.maps import fit_gaussian, load_erf

    results: list[dict[str, Any]] = [
        {"file": str(file), **fit_gaussian(load_erf(file), shape).summary()}
        for file in files or (Path("erf.h5"),)
    ]

    def table() -> None:
        rows = []
        for result in results:
            rows.append((result["file"], result["model"], *_numbers(result)))
            rows.append(("", "study: no offset", *_numbers(result["study"])))
        print_table(("file", "model", "x0", "y0", "σx", "σy", "θ", "R²"), rows)
        for result in results:
            for flag in result["flags"]:
                output.note(f"{result['file']}: {flag}")

    output.result({"results": results}, table)


def _numbers(fit: dict[str, Any]) -> list[str]:
    lengths = [f"{fit[name]:.1f}" for name in ("x0_px", "y0_px", "sigma_x_px", "sigma_y_px")]
    return [*lengths, f"{fit['theta_deg']:.1f}°", f"{fit['r_squared']:.3f}"]
