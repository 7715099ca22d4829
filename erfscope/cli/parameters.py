"""Types of values as people write them (sizes, units, lists), and options that several commands share."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

Decorator = Callable[[Callable[..., None]], Callable[..., None]]

PATH = click.Path(path_type=Path)


class SpelledType(click.ParamType[Any]):
    """A type that `--help` shows by its name as it is; click would write it in capitals."""

    def get_metavar(self, *args: Any, **options: Any) -> str:
        """Return the name."""
        return self.name


class IntegersType(SpelledType):
    """`6,12,18` → (6, 12, 18)."""

    name = "N,N,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse, or fail with what was expected."""
        if isinstance(value, tuple):
            return value
        if not re.fullmatch(r"\s*-?\d+\s*(,\s*-?\d+\s*)*", value):
            self.fail(f"{value!r} is no list of whole numbers such as 6,12,18", param, ctx)
        return tuple(int(part) for part in value.split(","))


class NumbersType(SpelledType):
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


class SizeType(SpelledType):
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


class ShardType(SpelledType):
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


class PixelType(SpelledType):
    """`384,384` → (y, x)."""

    name = "Y,X"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse, or fail with what was expected."""
        pixel = _read_pixel(value)
        if not isinstance(pixel, tuple):
            self.fail(f"{value!r} is no pixel such as 384,384 (y,x)", param, ctx)
        return pixel


class UnitType(SpelledType):
    """`384,384` → (y, x); anything else is a layer's name, which is checked against the network later."""

    name = "Y,X|LAYER"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse a pixel, or return the name."""
        return _read_pixel(value)


def _read_pixel(value: Any) -> Any:
    """Return (y, x) for the text of a pixel, anything else as it is."""
    match = re.fullmatch(r"\s*(\d+)\s*,\s*(\d+)\s*", value) if isinstance(value, str) else None
    return (int(match[1]), int(match[2])) if match else value


class BatchType(SpelledType):
    """`auto`, or a whole number."""

    name = "N|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse, or fail with what was expected."""
        if value == "auto" or isinstance(value, int):
            return value
        if not value.isdecimal():
            self.fail(f"{value!r} is neither a number of images nor auto", param, ctx)
        return int(value)


class SettingType(SpelledType):
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
PIXEL = PixelType()
SETTING = SettingType()

root_option = click.option(
    "--root", type=PATH, metavar="FOLDER", help="The dataset's folder.  [default: $ERFSCOPE_DATA/NAME]"
)
data_setting_option = click.option(
    "--data-option",
    type=SETTING,
    multiple=True,
    help="Set an option of a synthetic dataset, which 'erfscope datasets' lists; may be repeated.",
)
device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="DEVICE",
    help="Where to compute: auto (CUDA if there is one), cpu, cuda or cuda:N.",
)
workers_option = click.option(
    "--workers",
    type=click.IntRange(0),
    metavar="N",
    help="Processes that read images.  [default: by the cores]",
)
max_skipped_option = click.option(
    "--max-skipped",
    type=click.FloatRange(0, 1),
    default=0.01,
    show_default=True,
    metavar="SHARE",
    help="Fail if more than this share of the images can't be read.",
)


def decorated(command: Callable[..., None], decorators: Sequence[Decorator]) -> Callable[..., None]:
    """Put decorators on a command so that `--help` lists their options in the given order."""
    for decorate in reversed(decorators):
        command = decorate(command)
    return command
