"""`erfscope predict`."""

from typing import Any

import click

from erfscope.cli.network_options import network_options
from erfscope.cli.output import Output, output_options, print_facts
from erfscope.cli.parameters import SIZE, UNIT


@click.command("predict", context_settings={"show_default": True})
@network_options
@click.option("--size", type=SIZE, default="769", help="Side or HxW of the image, px.")
@click.option(
    "--unit",
    type=UNIT,
    help="Unit whose field of view is predicted: a pixel of the output, or the center of a layer.  [default: "
    "the output's center]",
)
@output_options
def predict_command(output: Output, /, **options: Any) -> None:
    r"""Predict what a unit sees from the network's graph alone, without any image.

    Parallel atrous convolutions leave a star in the map, consecutive ones a grid. The prediction is its size
    and rates, the rates that fit this image size, and the theoretical receptive field.

    \b
    erfscope predict --model deeplabv3 --size 769
    erfscope predict --model fcn-d6 --size 512x1024 --json
    """
    from erfscope.workflows.predict_fov import predict_file

    prediction = predict_file(**options)
    summary = prediction.summary()

    def table() -> None:
        height, width = prediction.size
        rows: list[tuple[str, object]] = [
            ("network", prediction.model),
            ("size", f"{height} × {width} px"),
            ("output stride", _number(prediction.output_stride)),
            ("projected center", _point(prediction.projected_center)),
            ("receptive field", _extent(prediction.theoretical_rf_px)),
            ("without global branches", _extent(prediction.theoretical_rf_without_global_px)),
            ("pattern", prediction.pattern),
        ]
        if prediction.rates:
            shares = (f"{share:.0%}" for share in prediction.valid_tap_fraction)
            rates = prediction.recommended_rates
            rows += [
                ("read stride", _number(prediction.read_stride)),
                ("rates", ", ".join(map(str, prediction.rates))),
                ("taps inside the map", ", ".join(shares)),
                ("positions read", len(prediction.lattice)),
                ("center to center", f"{_number(prediction.center_to_center_px)} px"),
                ("end to end (+32)", f"{_number(prediction.end_to_end_convention_px)} px"),
                ("r* for this size", "–" if rates is None else f"{prediction.recommended_rate:.2f}"),
                ("rates for this size", "–" if rates is None else ", ".join(map(str, rates))),
            ]
        print_facts(rows)
        for flag in prediction.flags:
            output.note(flag.message)

    output.result(summary, table)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"


def _point(point: tuple[float, float] | None) -> str:
    return "–" if point is None else f"y {point[0]:g}, x {point[1]:g}"


def _extent(extent: tuple[int, int] | None) -> str:
    return "nothing" if extent is None else f"{extent[0]} × {extent[1]} px"
