"""Read label files as classes; a value without a class is an error."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from erfscope.datasets.decode import opened_image
from erfscope.errors import ImageError

IGNORE = 255
"""The label of pixels without a class."""

OUTSIDE = 254
"""In the table of a `LabelKind`: a value that no file of the layout may hold."""

LabelReading = Literal["index", "brightness", "two levels"]
"""How a label file's pixel becomes a value: by the stored number (in a palette file the index), by its
brightness, or, in a mask of two levels, by whether it is bright."""


@dataclass(frozen=True)
class LabelKind:
    """What the values in a label file mean.

    Attributes
    ----------
    table
        256 bytes: the class of each value, `IGNORE` or `OUTSIDE`; see `label_map`.
    reading
        How a pixel becomes a value.
    """

    table: bytes
    reading: LabelReading = "index"


_INDEXED = ("1", "L", "P", "I", "I;16", "I;16L", "I;16B", "I;16N")
_SHOWN = 5


def label_map(pairs: Iterable[tuple[int, int]], ignored: Iterable[int] = (IGNORE,)) -> bytes:
    """Make the table of a `LabelKind`: the class of each value in a file.

    Parameters
    ----------
    pairs
        (value in the file, class); values 0 to 255, classes below `OUTSIDE`.
    ignored
        Values of pixels without a class; they become `IGNORE`, unless `pairs` names them.

    Returns
    -------
    bytes
        256 classes, indexed by value; others are `OUTSIDE`, which `read_label` refuses.
    """
    table = bytearray([OUTSIDE] * 256)
    for value in ignored:
        table[value] = IGNORE
    for value, train_id in pairs:
        table[value] = train_id
    return bytes(table)


@dataclass(frozen=True)
class DecodedLabel:
    """The classes in a label file, and the values that have none.

    Attributes
    ----------
    classes
        (H, W) uint8: classes, `IGNORE`, and `OUTSIDE` for unknown values.
    unknown_values
        One line on values that have no class; None if there are none.
    """

    classes: npt.NDArray[np.uint8]
    unknown_values: str | None


def read_label(path: Path, kind: LabelKind) -> Image.Image:
    """Read a label file as classes.

    Parameters
    ----------
    path
        A single-channel image file; if the brightness is read, three equal channels will do.
    kind
        What its values mean. In a mask of two levels a pixel is 255 if its brightness is at least 128, as in
        mmsegmentation's converters, or, in a mask of zeros and ones, if it is one; else 0.

    Returns
    -------
    PIL.Image.Image
        Mode L, classes and `IGNORE`.

    Raises
    ------
    ImageError
        If the file can't be read, has several channels, or holds values without a class, which are named.
    """
    label = decode_label(path, kind)
    if label.unknown_values:
        raise ImageError(f"{path}: {label.unknown_values}; mend the label file or leave it out")
    return Image.fromarray(label.classes)


def decode_label(path: Path, kind: LabelKind) -> DecodedLabel:
    """Read a label file as `read_label` does, but mark values without a class instead of refusing them.

    Raises
    ------
    ImageError
        If the file can't be read or has several channels.
    """
    with opened_image(path) as image:
        values = _indices(image) if kind.reading == "index" else _brightness(image)
    if kind.reading == "two levels":
        values = np.where(values >= (128 if values.max() > 1 else 1), 255, 0)
    classes = np.frombuffer(kind.table, np.uint8)[np.clip(values, 0, 255)]
    outside = (classes == OUTSIDE) | (values < 0) | (values > 255)
    if not outside.any():
        return DecodedLabel(classes, None)
    classes[outside] = OUTSIDE
    return DecodedLabel(classes, _describe(values[outside], kind.table))


def _indices(image: Image.Image) -> npt.NDArray[np.int64]:
    if image.mode not in _INDEXED:
        raise ValueError(f"a label file must have one channel, this one is {image.mode}")
    return np.asarray(image).astype(np.int64)


def _brightness(image: Image.Image) -> npt.NDArray[np.int64]:
    if image.mode.startswith("I"):
        raise ValueError(f"a mask of gray levels must have 8 bits, this one is {image.mode}")
    channels = np.asarray(image.convert("RGB")).astype(np.int64)
    if (channels != channels[..., :1]).any():
        raise ValueError("a mask must be gray, this one has colors")
    return np.asarray(channels[..., 0])


def _describe(values: npt.NDArray[np.int64], table: bytes) -> str:
    found, counts = np.unique(values, return_counts=True)
    shown = ", ".join(
        f"{value} ({count} px)" for value, count in zip(found[:_SHOWN], counts[:_SHOWN], strict=True)
    )
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    known = _ranges([value for value, train_id in enumerate(table) if train_id != OUTSIDE])
    return f"values {shown}{more} belong to no class; expected {known}"


def _ranges(values: list[int]) -> str:
    """Write 0, 1, 2, 3, 255 as 0 to 3, 255."""
    starts = [value for value in values if value - 1 not in values]
    ends = [value for value in values if value + 1 not in values]
    runs = zip(starts, ends, strict=True)
    return ", ".join(str(start) if start == end else f"{start} to {end}" for start, end in runs)
