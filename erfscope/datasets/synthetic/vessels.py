"""Vessels of a retina: trees that branch from the optic disc over a bright ground, thin ones hard to see.

Where a vessel branches, Murray's law holds: the cubes of the branches' widths add up to that of the stem; the
thinner branch turns farther away. Lengths are in units of the retina's radius, so that every image size shows
a whole retina.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage

from erfscope.datasets.layout import DatasetLayout, Pixels
from erfscope.datasets.synthetic.canvas import texture_noise

Floats = npt.NDArray[np.float32]
Path = npt.NDArray[np.complexfloating]

CLASSES = ("background", "vessel")

_DISC, _FOVEA = -0.42 + 0j, 0.15 + 0j
_WIDEST, _THINNEST, _STEP = 0.036, 0.006, 0.03
_MOST_BRANCHES = 180
# Where the trunks leave the disc (y is down) and how they bend, radians a step: two arcs around the fovea,
# two to the other side.
_TRUNKS = ((-1.35, 0.028), (1.35, -0.028), (-2.3, -0.008), (2.3, 0.008))
# Vessels are drawn this many times finer, because thin ones are half pixels wide; and none is thinner than
# this many pixels of the image, or there would be gaps in the label.
_FINER, _THINNEST_PX = 3, 1.2
_RETINA = np.array([190, 100, 58], np.float32)
_BRIGHT = np.array([50, 70, 55], np.float32)  # the optic disc is brighter by this
_DARK = np.array([75, 58, 30], np.float32)  # a wide vessel is darker by this


@dataclass(frozen=True)
class _Branch:
    """A piece of a vessel between two points where it branches."""

    start: complex
    angle: float
    bend: float
    width: float
    contrast: float


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
        (H, W) uint8, 1 where at least half a pixel is vessel.
    """
    rng = np.random.default_rng([seed, index])
    height, width = size
    radius, side = min(size) / 2 * float(rng.uniform(0.9, 0.98)), float(rng.choice([-1, 1]))
    coverage, shade = _draw_tree(rng, size, radius, side)
    rows, columns = np.ogrid[:height, :width]
    x = ((columns - (width - 1) / 2) / radius * side).astype(np.float32)
    y = ((rows - (height - 1) / 2) / radius).astype(np.float32)
    from_middle = np.hypot(x, y)
    image = _ground(rng, x, y) - ndimage.gaussian_filter(shade, 0.6)[..., None] * _DARK
    image *= np.clip((1 - from_middle) * radius, 0, 1)[..., None]
    image += rng.standard_normal((*size, 3), dtype=np.float32) * np.float32(rng.uniform(5, 9)) + 6
    label = (coverage >= 0.5) & (from_middle < 1)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), label.astype(np.uint8)


def _draw_tree(
    rng: np.random.Generator, size: tuple[int, int], radius: float, side: float
) -> tuple[Floats, Floats]:
    """Return the share of each pixel that is vessel, and that share times the vessel's contrast."""
    canvases = [Image.new("L", (size[1] * _FINER, size[0] * _FINER)) for _ in range(2)]
    painters = [ImageDraw.Draw(canvas) for canvas in canvases]
    middle = complex(size[1], size[0]) / 2 * _FINER
    for branch, path in _tree(rng):
        placed = middle + radius * _FINER * (side * path.real + 1j * path.imag)
        corners = placed.view(np.float64).tolist()
        wide = round(max(branch.width * radius, _THINNEST_PX) * _FINER)
        for painter, value in zip(painters, (255, round(255 * branch.contrast)), strict=True):
            # Round joints prevent notches, which only wide vessels show.
            painter.line(corners, fill=value, width=wide, joint="curve" if wide > 4 * _FINER else None)
    coverage, shade = (np.asarray(canvas.reduce(_FINER), np.float32) for canvas in canvases)
    return coverage / np.float32(255), shade / np.float32(255)


def _tree(rng: np.random.Generator) -> Iterator[tuple[_Branch, Path]]:
    """Yield the branches with their paths, stems first; a vein and an artery for each trunk."""
    branches = deque(
        _Branch(
            start=_DISC + 0.02 * complex(*rng.normal(0, 1, 2)),
            angle=angle + rng.normal(0, 0.15),
            bend=bend + rng.normal(0, 0.003),
            width=_WIDEST * share * rng.uniform(0.8, 1.1),
            contrast=contrast,
        )
        for angle, bend in _TRUNKS
        for share, contrast in ((1.0, 1.0), (0.75, 0.75))
    )
    for _ in range(_MOST_BRANCHES):
        if not branches:
            return
        branch = branches.popleft()
        steps = int(rng.integers(5, 16))
        angles = branch.angle + branch.bend * np.arange(steps) + np.cumsum(rng.normal(0, 0.05, steps))
        path = branch.start + _STEP * np.concatenate([[0], np.cumsum(np.exp(1j * angles))])
        yield branch, path
        # Vessels end at the retina's edge, and leave the fovea free.
        if abs(path[-1]) < 1.05 and abs(path[-1] - _FOVEA) > 0.12:
            branches.extend(_branches(rng, branch, path[-1], float(angles[-1])))


def _branches(rng: np.random.Generator, stem: _Branch, at: complex, angle: float) -> list[_Branch]:
    share = rng.uniform(0.78, 0.97)  # of the stem's width that the wider branch keeps
    away = float(rng.choice([-1, 1]))
    ends = (
        (share, angle - away * rng.uniform(0.02, 0.2), stem.bend),
        ((1 - share**3) ** (1 / 3), angle + away * rng.uniform(0.5, 1.1), stem.bend * 0.3 - away * 0.02),
    )
    return [
        _Branch(at, turned, bend, stem.width * kept, stem.contrast * kept**0.6)
        for kept, turned, bend in ends
        if stem.width * kept > _THINNEST
    ]


def _ground(rng: np.random.Generator, x: Floats, y: Floats) -> Floats:
    """Return the (H, W, 3) ground behind the vessels, given coordinates in radii."""
    tilt_x, tilt_y = rng.normal(0, 0.3, 2).tolist()
    lit = 1 - 0.25 * ((x - tilt_x) ** 2 + (y - tilt_y) ** 2)
    lit -= float(rng.uniform(0.1, 0.25)) * _spot(x, y, _FOVEA, 0.2)
    for _ in range(12):
        # Small bleedings, as dark as vessels, and bright deposits.
        center, depth = complex(*rng.uniform(-0.8, 0.8, 2)), float(rng.choice([-0.3, 0.25]))
        lit += depth * _spot(x, y, center, float(rng.uniform(0.01, 0.035)))
    disc = np.minimum(1.6 * _spot(x, y, _DISC, float(rng.uniform(0.09, 0.12))), 1)
    texture = texture_noise()
    down, right = rng.integers(0, len(texture), 2).tolist()
    rows, columns = (
        (np.arange(length) + start) % len(texture) for length, start in ((y.size, down), (x.size, right))
    )
    color = (_RETINA * rng.uniform(0.8, 1.1) + rng.normal(0, 8, 3)).astype(np.float32)
    ground: Floats = lit[..., None] * color
    ground += disc[..., None] * _BRIGHT
    ground += texture[np.ix_(rows, columns)][..., None] * float(rng.uniform(4, 8))
    return ground


def _spot(x: Floats, y: Floats, center: complex, radius: float) -> Floats:
    spot: Floats = np.exp(-(((x - center.real) / radius) ** 2)) * np.exp(-(((y - center.imag) / radius) ** 2))
    return spot


SYNTHETIC_VESSELS = DatasetLayout(
    name="synthetic-vessels",
    summary="synthetic, needs no files: retinas with branching vessels, the thin ones hard to see",
    size=(385, 385),
    draw=draw,
    scenes=100,
    splits=("train", "val"),
    classes=CLASSES,
)
