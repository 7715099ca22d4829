"""`erfscope star-distance`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from erfscope.cli.network_options import optional_network_options
from erfscope.cli.output import Output, output_options, print_table
from erfscope.cli.parameters import PATH


@click.command("star-distance")
@click.argument("files", type=PATH, nargs=-1)
@optional_network_options
@click.option(
    "--weight-seeds",
    type=click.IntRange(1),
    metavar="K",
    help="Compute K more maps of the untrained network with other random weights, and report their spread.",
)
@output_options
def star_distance_command(
    output: Output, files: tuple[Path, ...], network: Mapping[str, Any] | None, weight_seeds: int | None
) -> None:
    r"""Measure the star in each map FILE (erf.h5): its rings, its width from center to center.

    The rates need not be known. The first error is the standard error of sampling images, the second a bound
    of the method's own error. End to end adds the study's 32 px. The prediction is the one that was recorded
    with the map, or that of --model; it changes no measured number.

    \b
    erfscope star-distance erf.h5
    erfscope star-distance array.h5 --model deeplabv3 --backbone resnet18 --json
    erfscope star-distance erf.h5 --weight-seeds 4
    """
    from erfscope.workflows.star_prediction import measure_star_file
    from erfscope.workflows.weight_seeds import measure_over_weights

    results = [measure_star_file(file, network) for file in files or (Path("erf.h5"),)]
    if weight_seeds:
        for result in results:
            file = Path(result["file"])
            result["weight_seeds"] = measure_over_weights(file, weight_seeds, output.progress)

    def table() -> None:
        header = (
            "file",
            "pattern",
            "score",
            "center to center",
            "predicted",
            "end to end (+32)",
            "blob FWHM",
            "rings (px)",
        )
        print_table(header, [_row(result) for result in results])
        for result in results:
            if weight_seeds:
                output.note(f"{result['file']}: {_over_weights(result['weight_seeds'])}")
            for flag in (*result["flags"], *result["prediction_flags"]):
                output.note(f"{result['file']}: {flag}")

    output.result({"results": results}, table)


def _row(result: dict[str, Any]) -> tuple[str, ...]:
    rings = ", ".join(_with_rate(ring["distance_px"], result) for ring in result["rings"])
    error = result["relative_error"]
    predicted = _px(result["predicted_center_to_center_px"])
    return (
        result["file"],
        result["pattern"],
        f"{result['score']:.2f}",
        _across(result),
        predicted if error is None else f"{predicted} ({error:+.2%})",
        _px(result["end_to_end_convention_px"]),
        _px(result["blob_fwhm_px"]),
        rings or "–",
    )


def _across(result: dict[str, Any]) -> str:
    stderr, systematic = result["center_to_center_stderr_px"], result["systematic_px"]
    sampling = "" if stderr is None else f" ± {stderr:.1f}"
    method = "" if systematic is None else f" ± {systematic:.1f}"
    return _px(result["center_to_center_px"]) + sampling + method


def _over_weights(drawn: dict[str, Any]) -> str:
    draws = f"{len(drawn['seeds'])} draws of random weights"
    if drawn["mean_px"] is None:
        return f"{draws}: fewer than two stars"
    mean, stderr, spread = (f"{drawn[key]:.2f}" for key in ("mean_px", "stderr_px", "spread_px"))
    return f"{draws}: {mean} ± {stderr} px from center to center, one draw ± {spread}"


def _with_rate(distance: float, result: dict[str, Any]) -> str:
    """`96.2 (rate 12)` where a predicted ring was measured there."""
    rates = [ring["rate"] for ring in result["predicted_rings"] if ring["measured_distance_px"] == distance]
    return f"{distance:.1f}" + (f" (rate {rates[0]})" if rates else "")


def _px(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} px"
