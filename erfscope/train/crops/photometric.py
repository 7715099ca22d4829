"""Distort brightness, contrast, saturation and hue, each with probability 1/2, as mmsegmentation does.

Each distortion is a table of 256 values. The ranges are those of SSD (arXiv 1512.02325).
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

BRIGHTNESS = 32.0
CONTRAST = (0.5, 1.5)
SATURATION = (0.5, 1.5)
HUE = 18 / 180  # share of the color circle, in both directions

_LEVELS = np.arange(256)


def distort(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a distorted copy of an image of mode RGB: contrast before or after saturation and hue."""
    first = rng.random() < 0.5
    table = _LEVELS.astype(float)
    if rng.random() < 0.5:
        table = np.trunc(np.clip(table + rng.uniform(-BRIGHTNESS, BRIGHTNESS), 0, 255))
    contrast = _linear(rng.uniform(*CONTRAST)) if rng.random() < 0.5 else _LEVELS
    image = _mapped(image, contrast[table.astype(int)] if first else table)
    image = _saturated(image, rng)
    return image if first else _mapped(image, contrast)


def _saturated(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    saturation = _linear(rng.uniform(*SATURATION)) if rng.random() < 0.5 else _LEVELS
    shift = round(rng.uniform(-HUE, HUE) * 256) if rng.random() < 0.5 else 0
    if saturation is _LEVELS and not shift:
        return image
    hue, saturations, value = image.convert("HSV").split()
    return Image.merge(
        "HSV", (_mapped(hue, (_LEVELS + shift) % 256), _mapped(saturations, saturation), value)
    ).convert("RGB")


def _linear(factor: float) -> npt.NDArray[np.int64]:
    scaled: npt.NDArray[np.int64] = np.clip(_LEVELS * factor, 0, 255).astype(np.int64)
    return scaled


def _mapped(image: Image.Image, table: npt.NDArray[Any]) -> Image.Image:
    return image.point(table.astype(int).tolist() * len(image.getbands()))
