"""Parameter types: sizes, units and lists of whole numbers as people write them."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


class IntegersType(click.ParamType[Any]):
    """`6,12,18` → (6, 12, 18)."""

    name = "N,N,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse, or fail with what was expected."""
        if isinstance(value, tuple):
            return value
        if not re.fullmatch(r"\s*-?\d+\s*(,\s*-?\d+\s*)*", value):
            self.fail(f"{value!r} is no list of whole numbers such as 6,12,18", param, ctx)
        return tuple(int(part) for part in value.split(","))


class SizeType(click.ParamType[Any]):
    """`769` or `512x1024` (height × width) → (H, W)."""

    name = "SIDE|HxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse, or fail with what was expected."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d+)(?:[x×X](\d+))?", value)
        if not match:
            self.fail(f"{value!r} is no size such as 769 or 512x1024 (height x width)", param, ctx)
        height = int(match[1])
        return height, int(match[2] or height)


class UnitType(click.ParamType[Any]):
    """`384,384` → (y, x); anything else is a layer's name."""

    name = "Y,X|LAYER"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse; a name is checked against the network later."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"\s*(\d+)\s*,\s*(\d+)\s*", value)
        return (int(match[1]), int(match[2])) if match else value


class BatchType(click.ParamType[Any]):
    """`auto`, or a whole number."""

    name = "N|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse, or fail with what was expected."""
        if value == "auto" or isinstance(value, int):
            return value
        if not value.isdecimal():
            self.fail(f"{value!r} is neither a number of images nor auto", param, ctx)
        return int(value)


BATCH = BatchType()
INTEGERS = IntegersType()
SIZE = SizeType()
UNIT = UnitType()


def network_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that name a network, its parts and its weights."""
    for option in reversed(_NETWORK_OPTIONS):
        command = option(command)
    return command


_NETWORK_OPTIONS = (
    click.option("--model", required=True, help="A network; 'erfscope models' lists them."),
    click.option(
        "--checkpoint",
        type=click.Path(path_type=Path),
        help="Weights (.pth, .safetensors).  [default: random]",
    ),
    click.option("--allow-partial", is_flag=True, help="Take weights that match less than 95 %."),
    click.option("--backbone", help="resnet18 … resnet152, with -v1c for the deep stem."),
    click.option("--output-stride", type=int, help="8, 16 or 32."),
    click.option("--rates", type=INTEGERS, help="Atrous rates of the head, such as 6,12,18."),
    click.option("--num-classes", type=int, help="[default: the checkpoint's, else the dataset's]"),
    click.option("--align-corners/--no-align-corners", default=False, help="Of bilinear resizing."),
    click.option("--multi-grid", type=INTEGERS, help="Factors on the last stage's rate, such as 1,2,4."),
    click.option("--separable/--no-separable", default=None, help="Of DeepLabV3+'s convolutions."),
)
