"""`erfscope evaluate`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from erfscope.cli.network_options import network_options
from erfscope.cli.output import Output, output_options, print_facts, print_table
from erfscope.cli.parameters import (
    NUMBERS,
    PATH,
    SIZE,
    data_setting_option,
    device_option,
    max_skipped_option,
    root_option,
    workers_option,
)
from erfscope.records.choices import FITS, MODES

if TYPE_CHECKING:
    from erfscope.records.scores import Evaluation


@click.command("evaluate", context_settings={"show_default": True})
@network_options
@click.option(
    "--data", required=True, metavar="NAME", help="A dataset with labels; 'erfscope datasets' lists them."
)
@root_option
@click.option("--split", default="val", help="Split to score: train, val, …")
@click.option("--images", type=int, metavar="N", help="Score a random subset of N images.  [default: all]")
@click.option(
    "--seed",
    default=0,
    metavar="N",
    help="Seed of random weights, of the subset, of random crops and of synthetic images.",
)
@data_setting_option
@click.option(
    "--size",
    type=SIZE,
    help="Fit images to this size, px, or make synthetic ones at it.  [default: each image's own size; "
    "synthetic: the checkpoint's crop]",
)
@click.option(
    "--fit", type=click.Choice(FITS), default="center-crop", help="How images are fitted to --size."
)
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default="whole",
    help="Score whole images, or slide a window over them and average its logits.",
)
@click.option("--crop", type=SIZE, help="Size of the window, px.  [default: the checkpoint's crop]")
@click.option("--stride", type=SIZE, help="Step of the window, px.  [default: two thirds of the window]")
@click.option("--scales", type=NUMBERS, default="1.0", help="Average over these scales, such as 0.5,1.0,1.5.")
@click.option(
    "--short-side",
    type=int,
    metavar="SIDE",
    help="Scale images to this shorter side, px, and their logits back.",
)
@click.option("--flip", is_flag=True, help="Average over the image and its mirror image.")
@click.option(
    "--threshold",
    default=0.5,
    metavar="PROBABILITY",
    help="Least probability of the class, for a network with one logit.",
)
@click.option("--trimap", type=NUMBERS, help="Also score bands of these widths around boundaries, px.")
@click.option("--trimap-void", is_flag=True, help="Count the edges of ignored pixels as boundaries, too.")
@device_option
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    default=1,
    metavar="N",
    help="Number of windows that are computed at once with --mode slide.",
)
@workers_option
@max_skipped_option
@click.option(
    "--out", "-o", type=PATH, metavar="FILE", help="Write scores and confusion matrix to this JSON file."
)
@click.option(
    "--figure", type=PATH, metavar="FILE", help="Draw the confusion matrix to this PNG, PDF or SVG file."
)
@click.option("--overwrite", is_flag=True, help="Replace the files if they exist.")
@output_options
def evaluate_command(output: Output, /, **options: Any) -> None:
    r"""Score a network on labeled images: mIoU, accuracy, precision, recall, F1, Dice.

    Images are scored whole and at their own size by default. The error of the mIoU is that of sampling the
    images (jackknife). Classes that neither occur nor are predicted are left out of all means.

    \b
    erfscope evaluate --model run/best.safetensors --data cityscapes --root /data/cityscapes
    erfscope evaluate --model deeplabv3.pth --data voc2012 --scales 0.5,0.75,1.0,1.25 --flip
    erfscope evaluate --model unet.pth --data stare --mode slide --crop 128 --stride 85
    erfscope evaluate --model fcn --backbone resnet18 --data synthetic-leaves --images 4 --size 129
    """
    from erfscope.workflows.evaluate_files import evaluate_files

    options["trimap_widths"] = options.pop("trimap") or ()
    options["options"] = dict(options.pop("data_option")) or None
    told: set[str] = set()

    def warn(flag: str) -> None:
        if flag not in told:
            output.warn(flag)
        told.add(flag)

    evaluation = evaluate_files(warn=warn, progress=output.progress, **options)
    paths = {name: options[name] and str(options[name]) for name in ("out", "figure")}
    document = {**paths, **evaluation.summary()}
    for name, reason in evaluation.skipped:
        output.warn(f"skipped {name}: {reason}")
    for flag in evaluation.flags:
        warn(flag.message)
    output.result(document, lambda: _print(evaluation, document))


def _print(evaluation: "Evaluation", document: Mapping[str, Any]) -> None:
    scores = ("iou", "recall", "precision", "f1", "dice")
    classes, total = document["by_class"], document["pixels"]
    print_table(
        ("class", "pixels (%)", "IoU (%)", "accuracy (%)", "precision (%)", "F1 (%)", "Dice (%)"),
        [
            (each["name"], _percent(each["pixels"] / total), *(_percent(each[score]) for score in scores))
            for each in classes
        ],
    )
    if document["trimap"]:
        print_table(
            ("within (px)", "pixels (%)", "mIoU (%)", "pixel accuracy (%)"),
            [
                (
                    f"{band['width_px']:g}",
                    _percent(band["pixels"] / total),
                    _percent(band["miou"], band["miou_stderr"]),
                    _percent(band["pixel_accuracy"]),
                )
                for band in document["trimap"]
            ],
        )
    print_facts(
        [
            ("network", f"{evaluation.network_label}, {evaluation.weights_label}"),
            ("images", f"{evaluation.images} of {evaluation.data_label}, {len(evaluation.skipped)} skipped"),
            ("inference", evaluation.inference_label),
            ("mIoU (%)", _percent(document["miou"], document["miou_stderr"])),
            ("pixel accuracy (%)", _percent(document["pixel_accuracy"])),
            ("mean class accuracy (%)", _percent(document["mean_class_accuracy"])),
            ("mean precision (%)", _percent(document["mean_precision"])),
            ("mean F1 (%)", _percent(document["mean_f1"])),
            ("mean Dice (%)", _percent(document["mean_dice"])),
            ("time", f"{document['seconds']:.1f} s"),
            *((name, document[name]) for name in ("out", "figure") if document[name]),
        ]
    )


def _percent(share: float | None, stderr: float | None = None) -> str:
    if share is None:
        return "–"
    return f"{100 * share:.2f}" + ("" if stderr is None else f" ± {100 * stderr:.2f}")
