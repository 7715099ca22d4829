"""`erfscope bench`."""

from dataclasses import asdict
from typing import Any

import click

from erfscope.cli.network_options import network_options
from erfscope.cli.output import Output, output_options, print_facts
from erfscope.cli.parameters import SIZE, device_option
from erfscope.records.choices import PRECISIONS


@click.command("bench", context_settings={"show_default": True})
@network_options
@click.option("--size", type=SIZE, default="769", help="Side or HxW of the image, px.")
@click.option("--repeats", type=click.IntRange(1), default=3, metavar="N", help="Timed runs of each.")
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="float32",
    help="Precision of the engine; plain autograd runs in float32.",
)
@device_option
@output_options
def bench_command(output: Output, /, **options: Any) -> None:
    """Time the engine against plain autograd, image by image, on this machine."""
    from erfscope.workflows.bench import bench

    report = asdict(bench(**options))

    def table() -> None:
        engine = report["engine"]
        rows = [
            ("engine", f"{engine['mode']}: {engine['reason']}"),
            ("planning", f"{report['plan_seconds']:.1f} s"),
            ("one image", f"{report['seconds']:.3f} s, {1 / report['seconds']:.2f} images/s"),
            ("plain autograd", f"{report['plain_seconds']:.3f} s, {report['ratio']:.2f} times as long"),
            ("operations needed", _giga(engine["flops_needed"])),
            ("operations dense", _giga(engine["flops_dense"])),
            ("peak of this machine", f"{report['peak_flops'] / 1e9:.0f} GFLOP/s"),
        ]
        if report["share_of_peak"] is not None:
            rows.append(("share of the peak", f"{report['share_of_peak']:.0%}"))
        if report["convolution_seconds"] is not None:
            rows.append(("convolutions alone", f"{report['convolution_seconds']:.3f} s"))
        rows += [
            (f"no rule for {operator}", f"{seconds:.3f} s, and all before it is computed on whole maps")
            for operator, seconds in report["without_rule"].items()
        ]
        print_facts(rows)

    output.result(report, table)


def _giga(operations: int | None) -> str:
    return "not counted" if operations is None else f"{operations / 1e9:.1f} GFLOP"
