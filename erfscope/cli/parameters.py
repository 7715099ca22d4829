"""Parameter types: sizes, units and lists of whole numbers as people write them."""

import re
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import click

Decorator = Callable[[Callable[..., None]], Callable[..., None]]


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


class NumbersType(click.ParamType[Any]):
    """`0.5,1,1.5` → (0.5, 1.0, 1.5)."""

    name = "X,X,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse, or fail with what was expected."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is no list of numbers such as 0.5,1.0,1.5", param, ctx)


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


class ShardType(click.ParamType[Any]):
    """`1/4` → (1, 4): the second of four; the first is 0/4."""

    name = "I/N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse, or fail with what was expected."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d+)/(\d+)", value)
        if not match or int(match[1]) >= int(match[2]):
            self.fail(f"{value!r} is no shard such as 0/4, the first of four", param, ctx)
        return int(match[1]), int(match[2])


class ShardOrAutoType(ShardType):
    """`1/4` → (1, 4), or `auto`."""

    name = "I/N|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse, or fail with what was expected."""
        return value if value == "auto" else super().convert(value, param, ctx)


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


class SettingType(click.ParamType[Any]):
    """`low_level_channels=16` → ("low_level_channels", 16): numbers, lists of them, true or false, words."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse, or fail with what was expected."""
        if isinstance(value, tuple):
            return value
        name, equals, text = (part.strip() for part in value.partition("="))
        if not equals or not name:
            self.fail(f"{value!r} is no setting such as low_level_channels=16", param, ctx)
        return name.replace("-", "_"), self._read(text)

    def _read(self, text: str) -> Any:
        if text in ("true", "false"):
            return text == "true"
        if re.fullmatch(r"-?\d+(\s*,\s*-?\d+)+", text):
            return tuple(int(part) for part in text.split(","))
        return int(text) if re.fullmatch(r"-?\d+", text) else text


BATCH = BatchType()
INTEGERS = IntegersType()
NUMBERS = NumbersType()
SIZE = SizeType()
SHARD = ShardType()
SHARD_OR_AUTO = ShardOrAutoType()
UNIT = UnitType()
SETTING = SettingType()


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
        help="A network ('erfscope models' lists them), a checkpoint, torchvision:, smp:, hf: or timm:NAME, "
        "or module:function.",
    )
    return decorated(gather, (spec, *_NETWORK_OPTIONS))


def network_option_names() -> tuple[str, ...]:
    """Names of the options that name a network."""
    return ("model", *_NETWORK, "option")


def _take_network(options: dict[str, Any]) -> dict[str, Any]:
    return {name: options.pop(name) for name in _NETWORK}


def decorated(command: Callable[..., None], decorators: Sequence[Decorator]) -> Callable[..., None]:
    """Put decorators on a command, the first one outermost."""
    for decorate in reversed(decorators):
        command = decorate(command)
    return command


_NETWORK_OPTIONS = (
    click.option(
        "--config", type=click.Path(path_type=Path), help="Description of a checkpoint without one."
    ),
    click.option(
        "--checkpoint",
        type=click.Path(path_type=Path),
        help="Weights (.pth, .safetensors).  [default: random]",
    ),
    click.option("--allow-partial", is_flag=True, help="Take weights that match less than 95 %."),
    click.option("--trust", is_flag=True, help="Allow a file that may run code when it is loaded."),
    click.option("--backbone", help="resnet50-v1c, swin-t, …; 'erfscope models' lists them."),
    click.option("--output-stride", type=int, help="8, 16 or 32; also of a .pth trained at another."),
    click.option("--rates", type=INTEGERS, help="Atrous rates of the head, such as 6,12,18."),
    click.option("--num-classes", type=int, help="[default: the checkpoint's, else the dataset's]"),
    click.option("--align-corners/--no-align-corners", default=None, help="Of bilinear resizing."),
    click.option("--multi-grid", type=INTEGERS, help="Factors on the last stage's rate, such as 1,2,4."),
    click.option("--separable/--no-separable", default=None, help="Of ASPP's convolutions."),
    click.option(
        "--option", "-O", type=SETTING, multiple=True, help="Any other option that the network has."
    ),
)
_NETWORK = (
    "config", "checkpoint", "allow_partial", "trust", "backbone", "output_stride", "rates",
    "num_classes", "align_corners", "multi_grid", "separable",
)  # fmt: skip
