"""A camera on a street, and the shapes that it sees in perspective."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from erfscope.datasets.synthetic.canvas import Canvas, Color, Points

_NEAREST = 1.5  # m; what comes nearer is cut off
_HAZE_DEPTH = 150.0  # m, at which haze hides two thirds of a color


@dataclass(frozen=True)
class Street:
    """A street as its camera sees it: X to the right of it, Y above the ground, Z ahead, all in m.

    Attributes
    ----------
    canvas
        The image to paint on.
    rng
        Random number generator.
    focal
        Focal length, px.
    x, y
        The vanishing point, px; y is the horizon.
    height
        Height of the camera above the ground, m.
    haze
        Color of the air.
    """

    canvas: Canvas
    rng: np.random.Generator
    focal: float
    x: float
    y: float
    height: float
    haze: Color

    def project(self, points: Points) -> Points:
        """Return (N, 2) px of (N, 3) points X, Y, Z in m."""
        depth = np.maximum(points[:, 2:], _NEAREST)
        return np.asarray(
            np.array([self.x, self.y]) + self.focal * (points[:, :2] * [1, -1] + [0, self.height]) / depth
        )

    def paint(self, train_id: int, color: Color, depth: float, texture: float = 8.0) -> int:
        """Define a part that is `depth` m ahead: the farther, the more haze."""
        air = 1 - np.exp(-depth / _HAZE_DEPTH)
        return self.canvas.part(train_id, color * (1 - air) + self.haze * air, texture * (1 - air))

    def fill(self, part: int, corners: list[tuple[float, float, float]]) -> None:
        """Fill a polygon given by its corners X, Y, Z."""
        self.canvas.polygon(part, self.project(np.array(corners)))

    def board(
        self, part: int, at: tuple[float, float], corners: list[tuple[float, float]], above: float = 0.0
    ) -> None:
        """Fill a polygon that faces the camera.

        Parameters
        ----------
        part
            The part's number.
        at
            X and Z of its foot, m.
        corners
            Corners of the polygon, to the right of the foot and above it.
        above
            How high the foot itself is.
        """
        self.fill(part, [(at[0] + right, above + up, at[1]) for right, up in corners])

    def scale(self, depth: float) -> float:
        """Return how many pixels a meter spans, `depth` m ahead."""
        return self.focal / max(depth, _NEAREST)

    def box(
        self,
        train_id: int,
        color: Color,
        at: tuple[float, float],
        size: tuple[float, float, float],
        above: float = 0.0,
        texture: float = 6.0,
    ) -> None:
        """Paint the visible faces of a box.

        Parameters
        ----------
        train_id, color, texture
            Its class, the color of its face toward the camera, and the texture.
        at
            X of its middle and Z of its face toward the camera.
        size
            Width (along X), height, length (along Z).
        above
            How high its bottom is.
        """
        (x, near), (width, height, length) = at, size
        left, right, far, top = x - width / 2, x + width / 2, near + length, above + height
        inner = left if x > 0 else right
        if top < self.height:
            lid = self.paint(train_id, color * 1.15, near, texture)
            self.fill(lid, [(left, top, near), (right, top, near), (right, top, far), (left, top, far)])
        if left > 0 or right < 0:
            side = self.paint(train_id, color * 0.75, near + length / 2, texture)
            self.fill(
                side, [(inner, above, near), (inner, top, near), (inner, top, far), (inner, above, far)]
            )
        front = self.paint(train_id, color, near, texture)
        self.fill(front, [(left, above, near), (right, above, near), (right, top, near), (left, top, near)])

    def any_of(self, colors: Color, spread: float = 14.0) -> Color:
        """Draw one of (N, 3) colors and change it a little."""
        chosen = colors[self.rng.integers(len(colors))] + self.rng.normal(0, spread / 2, 3)
        return np.asarray(np.clip(chosen + self.rng.normal(0, spread), 0, 255))


Painter = Callable[[Street, float, float], None]
"""A function that paints something at X and Z."""


def disk(
    radius: float, center: tuple[float, float] = (0.0, 0.0), corners: int = 10
) -> list[tuple[float, float]]:
    """Return the corners of a disk's outline."""
    turn = 2 * np.pi / corners * np.arange(corners)
    return list(
        zip(
            (center[0] + radius * np.cos(turn)).tolist(),
            (center[1] + radius * np.sin(turn)).tolist(),
            strict=True,
        )
    )


def upright(width: float, low: float, high: float, x: float = 0.0) -> list[tuple[float, float]]:
    """Return the corners of an upright rectangle around x."""
    return [(x - width / 2, low), (x + width / 2, low), (x + width / 2, high), (x - width / 2, high)]
