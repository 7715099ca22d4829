"""Figures and values as text inside an HTML file."""

import io
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from erfscope.records.arrays import FloatArray
from erfscope.records.erf_map import ErfMap

DPI = 150
QUALITY = 90  # of WebP: a fifth of PNG's bytes on a noisy map, with no difference to be seen
MOST_VALUES = 128  # a side, for the values under the cursor


@dataclass(frozen=True)
class Picture:
    """An image for `<img src>`, inline.

    Attributes
    ----------
    scale
        "log", "linear", or "" for a picture that both show.
    size
        (width, height) in the image's pixels.
    box
        (left, top, width, height) of the map in shares of the image, None if its values aren't read.
    wide
        Whether it takes the page's width.
    """

    source: str
    alt: str
    caption: str
    scale: str
    size: tuple[int, int]
    box: tuple[float, float, float, float] | None = None
    wide: bool = False


def inline(
    figure: Figure, *, alt: str, caption: str, scale: str = "", hover: bool = False, wide: bool = False
) -> Picture:
    """Render a figure; with `hover` its first axes hold the map whose values the cursor shows."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="webp", dpi=DPI, pil_kwargs={"quality": QUALITY})
    source = f"data:image/webp;base64,{b64encode(buffer.getvalue()).decode()}"
    size = Image.open(buffer).size
    box = None
    if hover:  # axes keep their map's shape and are placed when they are drawn
        place = figure.axes[0].get_position()
        box = (place.x0, 1 - place.y1, place.width, place.height)
    return Picture(source, alt, caption, scale, size, box, wide)


def hover_values(erf: ErfMap) -> dict[str, Any]:
    """Means over square blocks of the map, relative to its peak pixel, for the cursor's readout.

    Returns
    -------
    dict
        JSON-able: height, width, center [y, x] in px, block side in px, columns, and `values`: base64 of
        little-endian float32, row by row.
    """
    block = max(1, -(-max(erf.size) // MOST_VALUES))
    means = block_means(erf.erf, block) / (float(erf.erf.max()) or 1.0)
    return {
        "height": erf.size[0],
        "width": erf.size[1],
        "center": list(erf.projected_center),
        "block": block,
        "columns": means.shape[1],
        "values": b64encode(means.astype("<f4").tobytes()).decode(),
    }


def block_means(values: FloatArray, block: int) -> FloatArray:
    """Means over `block`×`block` px, over what there is of them at the far borders."""
    for axis in (0, 1):
        starts = np.arange(0, values.shape[axis], block)
        counts = np.diff([*starts, values.shape[axis]])
        values = np.add.reduceat(values, starts, axis=axis) / np.expand_dims(counts, 1 - axis)
    return values
