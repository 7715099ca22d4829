"""Dead leaves: a pile of textured shapes seen from above, with the statistics of natural images.

Shapes whose radii have the density r^-3 look alike at every scale, and their amplitude spectrum falls
like 1/f, as that of photographs does (Lee, Mumford and Huang, 2001, doi:10.1023/A:1011109015675).
"""

from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from erfscope.datasets.layout import DatasetLayout, Pixels

CLASSES = ("disk", "ellipse", "rectangle", "triangle", "background")

# In pixels, whatever the image's size: a larger image shows more leaves, not larger ones.
_MIN_RADIUS, _MAX_RADIUS = 3.0, 200.0
# Average number of leaves over a point: e^-4, or 2 %, of the ground remains visible.
_DEPTH = 4.0
# Farthest point of any outline, in radii (ellipse: 1.58; rectangle 1.51; triangle 1.56).
_REACH = 1.6
_TEXTURE_SIDE = 512
_LUMINANCE = (45.0, 205.0)
_CHROMA = 15.0
_TEXTURE = (4.0, 20.0)


def draw(seed: int, index: int, size: tuple[int, int]) -> tuple[Pixels, Pixels]:
    """Draw one image; the same arguments always give the same one.

    Parameters
    ----------
    seed, index
        Key of the random numbers, each at least 0.
    size
        (H, W), px.

    Returns
    -------
    image
        (H, W, 3) uint8.
    label
        (H, W) uint8, the shape's place in `CLASSES`; what no leaf covers is background.
    """
    rng = np.random.default_rng([seed, index])
    kinds, leaf_at = _pile(rng, size)
    colors = rng.uniform(*_LUMINANCE, (len(kinds), 1)) + rng.normal(0, _CHROMA, (len(kinds), 3))
    strengths = rng.uniform(*_TEXTURE, len(kinds))
    # Each leaf takes its texture from its own place of one square of noise.
    shift_y, shift_x = rng.integers(0, _TEXTURE_SIDE, (2, len(kinds)))
    rows = (np.arange(size[0])[:, None] + shift_y[leaf_at]) % _TEXTURE_SIDE
    columns = (np.arange(size[1]) + shift_x[leaf_at]) % _TEXTURE_SIDE
    texture = _texture_noise(rng)[rows, columns] * strengths[leaf_at]
    image = np.clip(np.rint(colors[leaf_at] + texture[..., None]), 0, 255).astype(np.uint8)
    return image, kinds[leaf_at]


def radii(rng: np.random.Generator, count: int) -> npt.NDArray[np.float64]:
    """Draw radii (that of the disk of equal area, px) of density r^-3 between the limits.

    Parameters
    ----------
    rng
        Source of the random numbers.
    count
        How many.

    Returns
    -------
    ndarray
        (count,) float64.
    """
    # The inverse of the cumulative distribution, which is linear in r^-2.
    low, high = _MAX_RADIUS**-2, _MIN_RADIUS**-2
    return np.asarray(rng.uniform(low, high, count) ** -0.5)


def _pile(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Pixels, npt.NDArray[np.int32]]:
    """Return the kind of each leaf (number 0 is the ground) and the (H, W) number of the topmost leaf."""
    height, width = size
    # Centers may lie as far outside as a leaf reaches; otherwise the rim would get fewer leaves.
    rim = _REACH * _MAX_RADIUS
    mean_area = 2 * np.pi * np.log(_MAX_RADIUS / _MIN_RADIUS) / (_MIN_RADIUS**-2 - _MAX_RADIUS**-2)
    count = round(_DEPTH * (height + 2 * rim) * (width + 2 * rim) / mean_area)
    radius = radii(rng, count)
    x, y = rng.uniform(-rim, width + rim, count), rng.uniform(-rim, height + rim, count)
    kinds = rng.integers(0, len(CLASSES) - 1, count).astype(np.uint8)
    aspect, turn = rng.uniform(0.4, 0.8, count), np.exp(1j * rng.uniform(0, 2 * np.pi, count))
    inside = (np.abs(x - width / 2) < width / 2 + _REACH * radius) & (
        np.abs(y - height / 2) < height / 2 + _REACH * radius
    )
    canvas = Image.new("I", (width, height), 0)
    painter = ImageDraw.Draw(canvas)
    # Later leaves cover earlier ones.
    for k in np.flatnonzero(inside).tolist():
        outline = x[k] + 1j * y[k] + radius[k] * turn[k] * _outline(int(kinds[k]), radius[k], aspect[k])
        painter.polygon(outline.view(np.float64).tolist(), fill=k + 1)
    ground = np.array([len(CLASSES) - 1], np.uint8)
    return np.concatenate([ground, kinds]), np.asarray(canvas)


def _outline(kind: int, radius: float, aspect: float) -> npt.NDArray[np.complex128]:
    """Return the corners x + iy of a shape with the area of the unit disk; larger circles have more."""
    if kind == 2:
        half = np.sqrt(np.pi / (4 * aspect))
        return np.asarray(
            half * np.array([1 + 1j * aspect, -1 + 1j * aspect, -1 - 1j * aspect, 1 - 1j * aspect])
        )
    if kind == 3:
        return np.asarray(_circle(3) * np.sqrt(4 * np.pi / (3 * np.sqrt(3))))
    circle = _circle(8 + 4 * int(np.sqrt(radius)))
    if kind == 0:
        return circle
    return np.asarray(circle.real / np.sqrt(aspect) + 1j * circle.imag * np.sqrt(aspect))


@cache
def _circle(corners: int) -> npt.NDArray[np.complex128]:
    return np.asarray(np.exp(2j * np.pi / corners * np.arange(corners)))


def _texture_noise(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return a square of 1/f noise, mean 0, standard deviation 1, that repeats without a seam."""
    frequency = np.hypot(np.fft.fftfreq(_TEXTURE_SIDE)[:, None], np.fft.rfftfreq(_TEXTURE_SIDE))
    frequency[0, 0] = np.inf
    real, imaginary = rng.standard_normal((2, *frequency.shape))
    noise = np.fft.irfft2((real + 1j * imaginary) / frequency, s=(_TEXTURE_SIDE, _TEXTURE_SIDE))
    return np.asarray(noise / noise.std())


SYNTHETIC_LEAVES = DatasetLayout(
    name="synthetic-leaves",
    summary="synthetic, needs no files: a pile of textured disks, ellipses, rectangles and triangles",
    size=(769, 769),
    draw=draw,
    scenes=100,
    splits=("train", "val"),
    classes=CLASSES,
)
