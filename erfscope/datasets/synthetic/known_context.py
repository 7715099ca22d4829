"""Scenes in which a place's class is shown by a colored patch a known distance away, and by nothing else.

It is known what a network must see to do well here. Each place, a white square, has one cue: a colored square
of the same size exactly `distance` px away in one of the eight directions of a 3×3 atrous kernel, (±d, 0),
(0, ±d) and (±d, ±d); the color is the class. All other pixels are labeled 255, so that only the places are
scored. Crops and resizing would spoil this: draw images at the size that is trained on.

Only the pixels at that distance help. First the positions of places and cues are drawn, then the classes,
independently and with equal probabilities, and then the colors: given everything but its own cue, a place's
class is random, so that no other pixel carries information on it, neither near the place nor at another
distance nor in another place's cue. And they suffice: the direction need not be known, because none of the
other seven positions at that distance holds a cue, and none of the other seven around a cue holds a place.
For this, squares lie on nodes of a grid in which `distance` is a whole number of steps, and the pairs of one
image are an induced matching of nodes at that distance.

A network that sees the whole image but can't locate can guess the most frequent color. With n places and four
classes it is right in about 1/4 + 0.5/√n of them: 0.34 of 32 places, the usual number on 257×257 px. With
`cue` false the squares get the colors of another draw: images look the same and carry no information.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from erfscope.datasets.labels import IGNORE
from erfscope.datasets.layout import DatasetLayout, Pixels
from erfscope.errors import DatasetError

Integers = npt.NDArray[np.int64]

CLASSES = ("red", "green", "blue", "yellow")
DIRECTIONS = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))
"""The directions E NE N NW W SW S SE, as (y, x) in units of the distance."""

_COLORS = np.array([[190, 70, 70], [70, 170, 70], [80, 80, 200], [180, 170, 60]], np.float32)
_GROUND, _PLACE = 110.0, 230.0
_NOISE = 20.0


@dataclass(frozen=True)
class ContextScene:
    """The places and cues of one image.

    Attributes
    ----------
    places, cues
        (N, 2) int, (y, x) of the centers of the places' squares and of their cues', px.
    classes
        (N,) int, classes of the places.
    colors
        (N,) int, the class whose color each cue has: its place's, or a random one with `cue` false.
    side
        Side of the squares, px, odd.
    """

    places: Integers
    cues: Integers
    classes: Integers
    colors: Integers
    side: int


def plan(
    seed: int, index: int, size: tuple[int, int], *, distance: int, cue: bool, spacing: int, side: int
) -> ContextScene:
    """Place places and cues, and choose their classes and colors; for the parameters see `draw`."""
    rng = np.random.default_rng([seed, index, 0])
    rows, columns = (_nodes(rng, length, distance, spacing, side) for length in size)
    steps = distance // spacing
    pairs = _matching(rng, len(rows), len(columns), steps)
    places, cues = (np.stack([rows[ends[:, 0]], columns[ends[:, 1]]], 1) for ends in pairs)
    classes, others = rng.integers(0, len(CLASSES), (2, len(places)))
    return ContextScene(places, cues, classes, classes if cue else others, side)


def paint(scene: ContextScene, seed: int, index: int, size: tuple[int, int]) -> tuple[Pixels, Pixels]:
    """Paint a scene; the noise doesn't depend on the colors."""
    rng = np.random.default_rng([seed, index, 1])
    image = rng.standard_normal((*size, 3), dtype=np.float32) * _NOISE
    ground = np.full((*size, 3), _GROUND, np.float32)
    label = np.full(size, IGNORE, np.uint8)
    for place, cue, train_id, color in zip(
        scene.places.tolist(), scene.cues.tolist(), scene.classes.tolist(), scene.colors.tolist(), strict=True
    ):
        ground[_square(place, scene.side)] = _PLACE
        ground[_square(cue, scene.side)] = _COLORS[color]
        label[_square(place, scene.side)] = train_id
    return np.clip(np.rint(image + ground), 0, 255).astype(np.uint8), label


def draw(seed: int, index: int, size: tuple[int, int], **options: Any) -> tuple[Pixels, Pixels]:
    """Draw one image; the same arguments always give the same one.

    Parameters
    ----------
    seed, index
        Key of the random numbers, each at least 0.
    size
        (H, W), px.
    **options
        distance: from a place to its cue, px. cue: whether cues show the class. spacing: least distance
        between centers of squares, px. side: side of the squares, px, odd.

    Returns
    -------
    image
        (H, W, 3) uint8.
    label
        (H, W) uint8, the class in a place's square, 255 elsewhere.
    """
    return paint(plan(seed, index, size, **options), seed, index, size)


def _nodes(rng: np.random.Generator, length: int, distance: int, spacing: int, side: int) -> Integers:
    """Return positions along one axis, ascending: `distance // spacing` nodes span `distance` px."""
    steps, half = distance // spacing, side // 2
    start = int(rng.integers(distance))
    k = np.arange(-steps, steps * (length // distance + 1))
    nodes = start + k // steps * distance + k % steps * distance // steps
    return np.asarray(nodes[(nodes >= half) & (nodes < length - half)])


def _matching(rng: np.random.Generator, rows: int, columns: int, steps: int) -> tuple[Integers, Integers]:
    """Pair nodes `steps` apart so that no place is that far from two cues, nor a cue from two places.

    Returns
    -------
    places, cues
        (N, 2) int, row and column of the nodes.
    """
    y, x, direction = np.indices((rows, columns, len(DIRECTIONS))).reshape(3, -1)
    ahead = np.array(DIRECTIONS)[direction] * steps
    candidates = np.concatenate(
        [y[:, None], x[:, None], y[:, None] + ahead[:, :1], x[:, None] + ahead[:, 1:]], 1
    )
    inside = ((candidates >= 0) & (candidates < [rows, columns, rows, columns])).all(1)
    free = np.ones((2, rows, columns), bool)  # to become a place, to become a cue
    chosen = []
    # Diagonal pairs fit in about half as often as straight ones, so they are tried twice as early: then all
    # eight directions are about equally frequent.
    turns = rng.exponential(size=len(direction)) / (1 + direction % 2)
    for edge in candidates[inside][np.argsort(turns[inside])].tolist():
        place, cue = edge[:2], edge[2:]
        if free[0, place[0], place[1]] and free[1, cue[0], cue[1]]:
            chosen.append(edge)
            _close(free[1], place, steps)
            _close(free[0], cue, steps)
            free[:, place[0], place[1]] = free[:, cue[0], cue[1]] = False
    ends = np.array(chosen, np.int64).reshape(-1, 2, 2)
    return ends[:, 0], ends[:, 1]


def _close(free: npt.NDArray[np.bool_], node: list[int], steps: int) -> None:
    """Remove a node, and the eight nodes `steps` away from it, from those that are free."""
    rows, columns = (slice(at % steps if at < steps else at - steps, at + steps + 1, steps) for at in node)
    free[rows, columns] = False


def _square(center: list[int], side: int) -> tuple[slice, slice]:
    top, left = (at - side // 2 for at in center)
    return slice(top, top + side), slice(left, left + side)


def check(size: tuple[int, int], options: Mapping[str, Any]) -> None:
    """Refuse options that can't be drawn.

    Raises
    ------
    DatasetError
        If squares would overlap, or no place and cue fit into the image.
    """
    distance, spacing, side = (options[name] for name in ("distance", "spacing", "side"))
    if side < 1 or side % 2 == 0:
        raise DatasetError(f"side {side}: expected an odd number of pixels, for a square has a center")
    if not side < spacing <= distance:
        raise DatasetError(
            f"spacing {spacing}: expected more than side, {side} px, and at most distance, {distance} px"
        )
    # With this length each axis has two nodes at the distance, wherever the grid starts.
    needed = 2 * distance + side
    if min(size) < needed:
        raise DatasetError(
            f"size {size[0]}×{size[1]}: places {distance} px from their cues need {needed} px a side; "
            "enlarge the images or take a smaller distance"
        )


SYNTHETIC_CONTEXT = DatasetLayout(
    name="synthetic-context",
    summary="synthetic, needs no files: places whose class is the color of a patch `distance` px away",
    size=(257, 257),
    draw=draw,
    scenes=100,
    splits=("train", "val"),
    classes=CLASSES,
    options={"distance": 96, "cue": True, "spacing": 19, "side": 11},
    check=check,
)
