"""`erfscope sweep`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from erfscope.cli.output import Output, output_options, print_facts, print_table
from erfscope.cli.parameters import INTEGERS, SHARD, SIZE
from erfscope.cli.train_progress import TrainingDisplay, training_progress
from erfscope.cli.training_options import training_options
from erfscope.system.signals import EXIT_RESUMABLE

_PATH = click.Path(path_type=Path)


@click.command("sweep")
@click.argument("plan", required=False, type=_PATH)
@click.option("--base-rates", type=INTEGERS, help="The base rates R, such as 3,4,5,6; rates are R, 2R, 3R.")
@click.option("--output-stride", "output_strides", type=INTEGERS, help="One or more, such as 8,16.")
@click.option("--seeds", type=click.IntRange(1), help="Trainings of each, from --seed on.  [default: 1]")
@click.option("--recipe", help="'erfscope train --list' lists them.  [default: the one named as the dataset]")
@click.option("--baseline", help="A network without atrous head, trained alike: fcn, setr-naive, …")
@click.option("--images", type=click.IntRange(1), help="How many to train on, to score, and a map is of.")
@click.option("--erf-images", type=click.IntRange(1), help="How many a map is of.")
@click.option("--erf-size", type=SIZE, help="Side or HxW of the maps, px.  [default: the crops']")
@click.option("--untrained", is_flag=True, help="Compute the maps before training, too.")
@click.option("--shard", type=SHARD, help="Do a part of the runs: 0/4, 1/4, … join one table.")
@click.option("--out", "-o", type=_PATH, default="sweep", show_default=True, help="Folder of the sweep.")
@click.option("--overwrite", is_flag=True, help="Begin anew in a folder that holds a sweep.")
@training_options
@output_options
def sweep_command(output: Output, /, plan: Path | None, **options: Any) -> None:
    r"""Train, score and measure a network at a list of atrous rates; compare predicted and measured.

    Each run has a folder of its own. What is done already isn't done again: the same command goes on where
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

    @contextmanager
    def training(label: str, total: int) -> Iterator[TrainingDisplay]:
        output.note(f"{label}: {total} iterations")
        with training_progress(output, total) as show:
            yield show

    document = sweep(
        read_plan(plan, options),
        out,
        shard=shard or (0, 1),
        overwrite=overwrite,
        device=device,
        output=SweepOutput(output.warn, training, output.progress),
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
