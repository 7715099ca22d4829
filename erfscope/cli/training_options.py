"""The options that `erfscope train` and `erfscope sweep` share: those that change a recipe."""

from collections.abc import Callable

import click

from erfscope.cli.parameters import (
    PATH,
    SETTING,
    SIZE,
    data_setting_option,
    decorated,
    device_option,
    root_option,
    workers_option,
)
from erfscope.records.choices import PRECISIONS

_OPTIONS = (
    click.option(
        "--model",
        metavar="NAME",
        help="Train this network; if it isn't the recipe's, the recipe's other network options are dropped.",
    ),
    click.option(
        "--backbone",
        metavar="NAME",
        help="Backbone, such as resnet50-v1c or swin-t; 'erfscope models' lists them.",
    ),
    click.option(
        "--option",
        "-O",
        type=SETTING,
        multiple=True,
        help="Set any other option of the network; may be repeated.",
    ),
    click.option(
        "--pretrained",
        type=PATH,
        metavar="FILE",
        help="Start from these backbone weights of torchvision, timm or OpenMMLab.",
    ),
    click.option("--data", metavar="NAME", help="A dataset with labels; 'erfscope datasets' lists them."),
    root_option,
    data_setting_option,
    click.option("--size", type=SIZE, help="Size of the crops, px."),
    click.option("--iterations", type=click.IntRange(1), metavar="N", help="Number of optimizer steps."),
    click.option(
        "--batch-size", type=click.IntRange(1), metavar="N", help="Images in a forward pass of each process."
    ),
    click.option("--lr", type=float, metavar="RATE", help="Learning rate."),
    click.option(
        "--seed",
        type=click.IntRange(0),
        metavar="N",
        help="Seed of weights, order, augmentation and dropout.",
    ),
    click.option(
        "--precision",
        type=click.Choice(PRECISIONS),
        help="Precision; bfloat16 is mixed precision, tf32 needs CUDA.",
    ),
    workers_option,
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="SECTION.FIELD=VALUE",
        help="Set any field of the recipe; may be repeated.",
    ),
    device_option,
)


def training_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command."""
    return decorated(command, _OPTIONS)
