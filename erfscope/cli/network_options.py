"""The options that name a network, which compute, predict, inspect and others share."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from erfscope.cli.parameters import INTEGERS, PATH, SETTING, decorated

_NETWORK_OPTIONS = (
    click.option(
        "--config", type=PATH, metavar="FILE", help="Description of a checkpoint that brings none of its own."
    ),
    click.option(
        "--checkpoint",
        type=PATH,
        metavar="FILE",
        help="Load weights from this file (.pth, .safetensors).  [default: random weights]",
    ),
    click.option("--allow-partial", is_flag=True, help="Accept weights of which less than 95 % match."),
    click.option("--trust", is_flag=True, help="Allow a file that may run code when it is loaded."),
    click.option(
        "--backbone",
        metavar="NAME",
        help="Backbone, such as resnet50-v1c or swin-t; 'erfscope models' lists them.",
    ),
    click.option(
        "--output-stride",
        type=int,
        metavar="N",
        help="Output stride, 8, 16 or 32; weights that were trained at another are taken, too.",
    ),
    click.option("--rates", type=INTEGERS, help="Atrous rates of the head, such as 6,12,18."),
    click.option(
        "--num-classes",
        type=int,
        metavar="N",
        help="Number of classes.  [default: the checkpoint's, else the dataset's]",
    ),
    click.option(
        "--align-corners/--no-align-corners", default=None, help="Align corners in bilinear resizing, or not."
    ),
    click.option(
        "--multi-grid", type=INTEGERS, help="Factors on the rates in the last stage, such as 1,2,4."
    ),
    click.option(
        "--separable/--no-separable",
        default=None,
        help="Make ASPP's convolutions depthwise separable, or not.",
    ),
    click.option(
        "--option",
        "-O",
        type=SETTING,
        multiple=True,
        help="Set any other option that the network has; may be repeated.",
    ),
)
_NETWORK = (
    "config", "checkpoint", "allow_partial", "trust", "backbone", "output_stride", "rates",
    "num_classes", "align_corners", "multi_grid", "separable",
)  # fmt: skip


def network_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that name a network; they arrive as one mapping, the arguments of `load_model`."""
    return _add_network(command, required=True)


def optional_network_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that name a network; without --model None arrives."""
    return _add_network(command, required=False)


def options_beside_spec(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a network that an argument `spec` names; they arrive as one mapping, without it."""

    @wraps(command)
    def gather(*args: Any, **options: Any) -> None:
        network = _take_network(options)
        command(*args, network=network | dict(options.pop("option")), **options)

    return decorated(gather, _NETWORK_OPTIONS)


def _add_network(command: Callable[..., None], *, required: bool) -> Callable[..., None]:
    @wraps(command)
    def gather(*args: Any, model: str | None, option: tuple[tuple[str, Any], ...], **options: Any) -> None:
        network = _take_network(options)
        if model is None:
            given = next((name for name, value in network.items() if value not in (None, False)), None)
            if given or option:
                raise click.UsageError(f"--{(given or 'option').replace('_', '-')} needs --model")
            command(*args, network=None, **options)
            return
        command(*args, network={"spec": model} | network | dict(option), **options)

    spec = click.option(
        "--model",
        required=required,
        metavar="MODEL",
        help="A network that 'erfscope models' lists, a checkpoint's file or folder, torchvision:NAME, "
        "smp:NAME, hf:ID, timm:NAME, or package.module:factory.",
    )
    return decorated(gather, (spec, *_NETWORK_OPTIONS))


def network_option_names() -> tuple[str, ...]:
    """Return the parameters that `network_options` adds, by their Python names."""
    return ("model", *_NETWORK, "option")


def _take_network(options: dict[str, Any]) -> dict[str, Any]:
    return {name: options.pop(name) for name in _NETWORK}
