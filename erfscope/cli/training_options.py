"""The options that `erfscope train` and `erfscope sweep` share: those that change a recipe."""

from collections.abc import Callable
from pathlib import Path

import click

from erfscope.cli.parameters import SETTING, SIZE, decorated

_PATH = click.Path(path_type=Path)
_OPTIONS = (
    click.option("--model", help="A network; another than the recipe's discards the rest of its network."),
    click.option("--backbone", help="resnet50-v1c, swin-t, …; 'erfscope models' lists them."),
    click.option("--option", "-O", type=SETTING, multiple=True, help="Any other option of the network."),
    click.option(
        "--pretrained", type=_PATH, help="The backbone's weights: torchvision's, timm's, OpenMMLab's."
    ),
    click.option("--data", help="A dataset with labels; 'erfscope datasets' lists them."),
    click.option("--root", type=_PATH, help="The dataset's folder.  [default: $ERFSCOPE_DATA/NAME]"),
    click.option("--data-option", type=SETTING, multiple=True, help="An option of a synthetic dataset."),
    click.option("--size", type=SIZE, help="Side or HxW of the crops, px."),
    click.option("--iterations", type=click.IntRange(1), help="Steps of the optimizer."),
    click.option("--batch-size", type=click.IntRange(1), help="Images a process and pass."),
    click.option("--lr", type=float, help="Learning rate."),
    click.option("--seed", type=click.IntRange(0), help="Of weights, order, augmentation and dropout."),
    click.option("--precision", help="float32, bfloat16 (mixed), float64, or tf32 on CUDA."),
    click.option("--workers", type=click.IntRange(0), help="Processes that read images."),
    click.option(
        "--set", "settings", multiple=True, metavar="SECTION.FIELD=VALUE", help="Any field of a recipe."
    ),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
)


def training_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command."""
    return decorated(command, _OPTIONS)
