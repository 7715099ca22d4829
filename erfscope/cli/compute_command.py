"""`erfscope compute`."""

from pathlib import Path
from typing import Any

import click

from erfscope.cli.network_options import network_options
from erfscope.cli.output import Output, output_options, print_facts
from erfscope.cli.parameters import BATCH, SETTING, SHARD_OR_AUTO, SIZE, UNIT
from erfscope.records.choices import ENGINES, FITS, FORMULAS, PRECISIONS
from erfscope.system.signals import EXIT_RESUMABLE
from erfscope.workflows.compute.options import ComputeOptions

_EXISTING = click.Path(path_type=Path)


@click.command("compute", context_settings={"show_default": True})
@network_options
@click.option("--data", required=True, help="Dataset to take images from; 'erfscope datasets' lists them.")
@click.option("--out", "-o", type=_EXISTING, default=Path("erf.h5"), help="Map file to write.")
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
@click.option("--root", type=_EXISTING, help="Folder of the dataset.  [default: $ERFSCOPE_DATA/NAME]")
@click.option("--split", default="val", help="Split of the dataset: train, val, …")
@click.option(
    "--size",
    type=SIZE,
    help="Side or HxW of the images, px.  [default: the checkpoint's crop, else the dataset's]",
)
@click.option("--fit", type=click.Choice(FITS), default="center-crop", help="How images come to that size.")
@click.option("--images", type=int, help="Take a seeded random subset of so many images.  [default: all]")
@click.option(
    "--seed",
    default=ComputeOptions.seed,
    help="Seed of random weights, subset, random crops and image groups.",
)
@click.option("--data-option", type=SETTING, multiple=True, help="Set an option of a synthetic dataset.")
@click.option(
    "--formula",
    type=click.Choice(FORMULAS),
    default=ComputeOptions.formula,
    help="How an image's gradient becomes its contribution.",
)
@click.option(
    "--target",
    default=str(ComputeOptions.target),
    help="What is summed at the unit: logits, predicted, margin, or a class (id or name).",
)
@click.option(
    "--unit", type=UNIT, help="Unit at Y,X of the output, or a layer's name.  [default: the output's center]"
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default=ComputeOptions.precision,
    help="What images, weights and gradients are held in; tf32 on CUDA only.",
)
@click.option("--device", default=ComputeOptions.device, help="Device: auto, cpu, cuda or cuda:N.")
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default=ComputeOptions.engine,
    help="Compute what the unit needs (auto), or the whole network by plain autograd (dense).",
)
@click.option(
    "--batch-size", type=BATCH, default=ComputeOptions.batch_size, help="Images a batch; auto: 1 on the CPU."
)
@click.option(
    "--workers", type=click.IntRange(0), help="Processes that read images.  [default: by the cores]"
)
@click.option(
    "--replicates",
    type=click.IntRange(0),
    default=ComputeOptions.replicates,
    help="Number of image groups for error bars; 0: none.",
)
@click.option(
    "--max-skipped",
    type=click.FloatRange(0, 1),
    default=ComputeOptions.max_skipped,
    help="Share of broken images above which the run fails.",
)
@click.option(
    "--shard",
    type=SHARD_OR_AUTO,
    help="Take a part of the images: 0/4, 1/4, …; auto: as SLURM or torchrun says.",
)
@click.option("--resume", is_flag=True, help="Go on with the map in the file; begin it if there is none.")
@click.option(
    "--snapshot-every",
    type=click.FloatRange(0),
    default=60.0,
    metavar="SECONDS",
    help="Save what is done every so many seconds.",
)
@click.option(
    "--until",
    type=float,
    metavar="ERROR",
    help="Take the images in random order; stop when the map's relative standard error is below, say, 0.01.",
)
@click.option(
    "--snapshot-images", type=click.IntRange(1), help="Save what is done also after so many images."
)
@output_options
def compute_command(
    output: Output,
    /,
    network: dict[str, Any],
    data: str,
    data_option: tuple[tuple[str, Any], ...],
    out: Path,
    overwrite: bool,
    resume: bool,
    shard: tuple[int, int] | str | None,
    snapshot_every: float,
    snapshot_images: int | None,
    **options: Any,
) -> None:
    r"""Sum the ReLU-clipped input gradients of one unit over a dataset.

    What is done is kept in the file all the time. Ctrl-C, SIGTERM, SIGUSR1 and SIGUSR2 end a run within
    seconds, with code 75, and the same command with --resume goes on.

    \b
    erfscope compute --model deeplabv3 --data cityscapes --root /data/cityscapes
    erfscope compute --model deeplabv3_r50-d8_769x769_80k_cityscapes.pth --data cityscapes --resume
    erfscope compute --model deeplabv3 --backbone resnet18 --data synthetic-leaves --images 16 --shard 0/4
    torchrun --nproc-per-node 2 -m erfscope compute --model deeplabv3 --data cityscapes
    """
    from erfscope.workflows.compute.ranks import compute_share
    from erfscope.workflows.compute.to_file import RunMessages, RunSetup

    dataset = {name: options.pop(name) for name in ("root", "split", "size", "fit", "images")}
    dataset |= {"name": data, "seed": options["seed"], "options": dict(data_option) or None}
    setup = RunSetup(network, dataset, overwrite, resume, snapshot_every, snapshot_images)
    messages = RunMessages(output.warn, output.note, output.progress)
    out, erf = compute_share(setup, ComputeOptions(**options), out, shard, messages)
    if erf is None:  # another process tells
        return
    summary = {"out": str(out), "interrupted": not erf.finished, **erf.summary()}
    for record in erf.skipped:
        output.warn(f"skipped {record.name}: {record.reason}")

    def table() -> None:
        y, x = erf.unit.y, erf.unit.x
        print_facts(
            [
                ("map", out),
                ("network", f"{erf.network_label}, {erf.weights_label}"),
                ("images", f"{erf.images} of {erf.data_label}, {len(erf.skipped)} skipped"),
                ("size", f"{erf.size[0]} × {erf.size[1]} px"),
                ("unit", f"y {y}, x {x}" + (f" of {erf.unit.layer}" if erf.unit.layer else "")),
                ("target", f"{erf.target}, {erf.formula} formula"),
                *_error(summary.get("convergence")),
                ("engine", f"{summary['engine']['mode']}: {summary['engine']['reason']}"),
                ("memory", _memory(summary["peak_memory_bytes"])),
                ("time", f"{summary['seconds']:.1f} s, {summary['images_per_second']:.2f} images/s"),
            ]
        )
        deviation = summary["deviation_from_float32"]
        if deviation:
            output.note(
                f"{options['precision']} against float32 on {deviation['images']} images: sum "
                f"{deviation['relative_sum']:+.1%}, L1 distance {deviation['relative_l1']:.1%}"
            )
        if erf.is_whole:
            output.note(f"Next: erfscope plot {out}")

    output.result(summary, table)
    for flag in erf.flags:
        output.note(flag.message)
    if not erf.finished:
        click.get_current_context().exit(EXIT_RESUMABLE)


def _error(convergence: dict[str, Any] | None) -> list[tuple[str, str]]:
    if not convergence or not convergence["checks"] or convergence["checks"][-1]["map_error"] is None:
        return []
    last = convergence["checks"][-1]
    arms = "" if last["arm_error"] is None else f", of its arms {last['arm_error']:.2%}"
    return [("error", f"{last['map_error']:.2%} of the map{arms}, at {last['images']} images")]


def _memory(peak: int | None) -> str:
    return "unknown" if peak is None else f"{peak / 1e9:.2f} GB at most"
