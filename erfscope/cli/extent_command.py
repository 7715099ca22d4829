"""`erfscope extent`."""

from pathlib import Path
from typing import Any

import click

from erfscope.cli.output import Output, output_options, print_table
from erfscope.cli.parameters import PATH

THRESHOLDS = ("0.2", "0.3", "0.5", "0.99")


@click.command("extent")
@click.argument("files", type=PATH, nargs=-1)
@output_options
def extent_command(output: Output, files: tuple[Path, ...]) -> None:
    """Measure how far each map FILE (erf.h5) reaches, and how many images it effectively averages.

    The table has the sides of the smallest squares about the projected center that hold 20, 30, 50 and 99 %
    of the map, as in RepLKNet's script (with -v also of log10(1 + map)); the diameter of the circle with
    the area (Σ E)² / Σ E²; and the side of the square that holds 95 % of what lies above the background.
    --json adds the radial profile.
    """
    from erfscope.workflows.maps import load_erf
    from erfscope.workflows.measurements import measure_extent

    results: list[dict[str, Any]] = [
        {"file": str(file), **measure_extent(load_erf(file)).summary()} for file in files or (Path("erf.h5"),)
    ]

    def table() -> None:
        header = ("file", "of", *(f"{float(key):.0%} (px)" for key in THRESHOLDS), "area of 50 %")
        more = ("diameter (px)", "95 % above background (px)", "effective images")
        print_table((*header, *more), [row for each in results for row in _rows(each, output.verbosity > 0)])
        for result in results:
            for flag in result["flags"]:
                output.note(f"{result['file']}: {flag}")

    output.result({"results": results}, table)


def _rows(result: dict[str, Any], with_log: bool) -> list[tuple[str, ...]]:
    images = result["images"]
    rest = (
        _length(result["effective_diameter_px"], result["effective_diameter_stderr_px"]),
        _length(result["side95_above_background_px"], result["side95_above_background_stderr_px"]),
        "–" if images is None else f"{images['effective']:.1f} of {images['count']}",
    )
    rows = [(result["file"], "mean map", *_ratios(result), *rest)]
    if with_log:
        rows.append(("", "log10(1 + mean)", *_ratios(result["log"]), "", "", ""))
    return rows


def _ratios(ratios: dict[str, Any]) -> tuple[str, ...]:
    area = ratios["area_ratio"]["0.5"]
    sides = (_length(ratios["side_px"][key], ratios["side_stderr_px"][key], digits=0) for key in THRESHOLDS)
    return (*sides, "–" if area is None else f"{area:.1%}")


def _length(value: float | None, stderr: float | None, digits: int = 1) -> str:
    if value is None:
        return "–"
    return f"{value:.{digits}f}" + ("" if stderr is None else f" ± {stderr:.1f}")
