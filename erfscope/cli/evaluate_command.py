"""`erfscope evaluate`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from erfscope.cli.output import Output, output_options, print_facts, print_table
from erfscope.cli.parameters import NUMBERS, SETTING, SIZE, network_options

if TYPE_CHECKING:
    from erfscope.records.scores import Evaluation

_PATH = click.Path(path_type=Path)


@click.command("evaluate", context_settings={"show_default": True})
@network_options
@click.option("--data", required=True, help="A dataset with labels; 'erfscope datasets' lists them.")
@click.option("--root", type=_PATH, help="The dataset's folder.  [default: $ERFSCOPE_DATA/NAME]")
@click.option("--split", default="val", help="train, val, …")
@click.option("--images", type=int, help="Take a seeded random subset of so many.  [default: all]")
@click.option("--seed", default=0, help="Of random weights, subset, random crops and drawn images.")
@click.option("--data-option", type=SETTING, multiple=True, help="An option of a drawn dataset.")
@click.option(
    "--size",
    type=SIZE,
    help="Fit images to that size; draw drawn ones so.  [default: their own; drawn: the checkpoint's crop]",
)
@click.option("--fit", default="center-crop", help="With --size: center-crop, resize or random-crop.")
@click.option("--mode", default="whole", help="whole, or slide: window by window, logits averaged.")
@click.option("--crop", type=SIZE, help="With slide, the window.  [default: the checkpoint's crop]")
@click.option("--stride", type=SIZE, help="With slide, its step.  [default: two thirds of the window]")
@click.option("--scales", type=NUMBERS, default="1.0", help="Average over these scales, such as 0.5,1.0,1.5.")
@click.option("--short-side", type=int, help="Scale images to this shorter side, px, and the logits back.")
@click.option("--flip", is_flag=True, help="Average also over the mirrored image.")
@click.option("--threshold", default=0.5, help="Of a network with one logit: the least probability.")
@click.option("--trimap", type=NUMBERS, help="Score bands of so many px about boundaries, too.")
@click.option("--trimap-void", is_flag=True, help="Ignored pixels bound a band as another class would.")
@click.option("--device", default="auto", help="auto, cpu, cuda or cuda:N.")
@click.option("--batch-size", type=click.IntRange(1), default=1, help="With slide, windows at a time.")
@click.option(
    "--workers", type=click.IntRange(0), help="Processes that read images.  [default: by the cores]"
)
@click.option("--max-skipped", type=click.FloatRange(0, 1), default=0.01, help="Share of broken images.")
@click.option("--out", "-o", type=_PATH, help="Write scores and confusion matrix to this JSON file.")
@click.option("--figure", type=_PATH, help="Draw the confusion matrix to this PNG, PDF or SVG file.")
@click.option("--overwrite", is_flag=True, help="Replace the files if they exist.")
@output_options
def evaluate_command(output: Output, /, **options: Any) -> None:
    r"""Score a network on labeled images: mIoU, accuracy, precision, recall, F1, Dice.

    Whole images at their own size, unless told otherwise. The error of the mIoU is the sampling of images
    (jackknife). Classes that neither occur nor are predicted are left out of all means.

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
