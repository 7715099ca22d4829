"""`erfscope sweep`."""

from pathlib import Path
from typing import Any

import click

from erfscope.cli.output import Output, output_options, print_facts, print_table
from erfscope.cli.parameters import INTEGERS, PATH, SHARD, SIZE
from erfscope.cli.training_options import training_options
from erfscope.system.signals import EXIT_RESUMABLE


@click.command("sweep")
@click.argument("plan", required=False, type=PATH)
@click.option("--base-rates", type=INTEGERS, help="Base rates R, such as 3,4,5,6; the rates are R, 2R, 3R.")
@click.option(
    "--output-stride", "output_strides", type=INTEGERS, help="Output strides, one or more, such as 8,16."
)
@click.option(
    "--seeds",
    type=click.IntRange(1),
    metavar="N",
    help="Train each network N times, with seeds from --seed on.  [default: 1]",
)
@click.option(
    "--recipe",
    metavar="NAME|FILE",
    help="A recipe that 'erfscope train --list' lists, or a TOML file.  [default: the dataset's own]",
)
@click.option(
    "--baseline",
    metavar="NAME",
    help="A network without atrous head that is trained alike, such as fcn or setr-naive.",
)
@click.option(
    "--images",
    type=click.IntRange(1),
    metavar="N",
    help="Train on N images, score N and compute each map from N.",
)
@click.option(
    "--erf-images", type=click.IntRange(1), metavar="N", help="Compute each map from N images instead."
)
@click.option("--erf-size", type=SIZE, help="Size of the maps, px.  [default: the crops']")
@click.option("--untrained", is_flag=True, help="Also compute the maps before training.")
@click.option("--shard", type=SHARD, help="Do a part of the runs: 0/4, 1/4, … fill one table.")
@click.option(
    "--out",
    "-o",
    type=PATH,
    default="sweep",
    show_default=True,
    metavar="FOLDER",
    help="Folder of the sweep.",
)
@click.option("--overwrite", is_flag=True, help="Begin anew in a folder that holds a sweep.")
@training_options
@output_options
def sweep_command(output: Output, /, plan: Path | None, **options: Any) -> None:
    r"""Train, score and measure a network at a list of atrous rates; compare predicted and measured.

    Each run has a folder of its own, and a run that is done isn't repeated: the same command goes on where
    it was stopped, and more rates or seeds extend the table.

    \b
    erfscope sweep --data synthetic-streets --model deeplabv3 --backbone resnet18 --base-rates 3,4,5,6
    erfscope sweep plan.toml --seeds 3 --shard 0/4
    """
    from erfscope.workflows.sweep.run_sweep import sweep
    from erfscope.workflows.sweep.sweep_plan import read_plan
    from erfscope.workflows.sweep.sweep_run import SweepOutput

    out, shard, device = options.pop("out"), options.pop("shard"), options.pop("device")
    overwrite = options.pop("overwrite")

    document = sweep(
        read_plan(plan, options),
        out,
        shard=shard or (0, 1),
        overwrite=overwrite,
        device=device,
        output=SweepOutput(output.warn, output.training, output.progress),
    )
    output.result(document, lambda: _print(document))
    for flag in document["flags"]:
        output.note(flag)
    if document["interrupted"]:
        output.note("interrupted; the same command goes on")
        click.get_current_context().exit(EXIT_RESUMABLE)


def _print(document: dict[str, Any]) -> None:
    header = ("rate", "stride", "predicted px", "measured px", "error", "mIoU %", "seeds")
    print_table(header, [_cells(row) for row in document["results"]])
    print_facts([("report", f"{document['out']}/report.html")])


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        "none" if row["base_rate"] is None else str(row["base_rate"]),
        str(row["output_stride"] or "–"),
        _number(row["predicted_center_to_center_px"]),
        _number(row["measured_center_to_center_px"], row["measured_stderr_px"]),
        "–" if row["relative_error"] is None else f"{row['relative_error']:+.2%}",
        _number(row["miou"], row["miou_stderr"], 100),
        str(row["seeds"]),
    )


def _number(value: float | None, error: float | None = None, factor: float = 1) -> str:
    if value is None:
        return "–"
    return f"{factor * value:.2f}" + ("" if error is None else f" ± {factor * error:.2f}")
