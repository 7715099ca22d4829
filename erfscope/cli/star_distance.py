"""`erfscope star-distance`."""

from pathlib import Path
from typing import Any

import click

from erfscope.cli.output import Output, output_options, print_table


@click.command("star-distance")
@click.argument("files", type=click.Path(path_type=Path), nargs=-1)
@output_options
def star_distance_command(output: Output, files: tuple[Path, ...]) -> None:
    """Measure the star in each map FILE (erf.h5): its rings, its width from center to center.

    Plain peak finding: blobs must stand apart. End to end adds the study's 32 px, or the measured blob
    width at half maximum.
    """
    from erfscope.workflows.maps import compare_with_prediction, load_erf, measure_star

    results: list[dict[str, Any]] = []
    for file in files or (Path("erf.h5"),):
        erf = load_erf(file)
        star = measure_star(erf)
        results.append({"file": str(file), **star.summary(), **compare_with_prediction(erf, star)})

    def table() -> None:
        header = (
            "file",
            "pattern",
            "center to center",
            "predicted",
            "end to end (+32)",
            "blob FWHM",
            "rings (px)",
        )
        print_table(header, [_row(result) for result in results])
        for result in results:
            for flag in result["flags"]:
                output.note(f"{result['file']}: {flag}")

    output.result({"results": results}, table)


def _row(result: dict[str, Any]) -> tuple[str, ...]:
    stderr = result["center_to_center_stderr_px"]
    rings = ", ".join(f"{ring['distance_px']:.1f}" for ring in result["rings"])
    return (
        result["file"],
        result["pattern"],
        _px(result["center_to_center_px"]) + (f" ± {stderr:.1f}" if stderr is not None else ""),
        _px(result["predicted_center_to_center_px"]),
        _px(result["end_to_end_convention_px"]),
        _px(result["blob_fwhm_px"]),
        rings or "–",
    )


def _px(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} px"
