"""Square boxes about a point of a map: what each holds, and which one holds a share of it."""

from dataclasses import dataclass

import numpy as np

from erfscope.records.arrays import FloatArray


@dataclass(frozen=True)
class Boxes:
    """Square boxes about one center, each 2 px wider than the last, up to the first that covers the map.

    A pixel that a box's edge cuts counts by the area within; of a box that leaves the image, the part
    within counts. About a pixel's center, as RepLKNet's script draws them, no pixel is cut.

    Attributes
    ----------
    sides
        (B,) 1, 3, 5, … px.
    areas
        (B,) px², of the part within the image.
    top, bottom, left, right
        (B,) edges of that part, from the upper left corner of the image, px.
    """

    sides: FloatArray
    areas: FloatArray
    top: FloatArray
    bottom: FloatArray
    left: FloatArray
    right: FloatArray

    def sums(self, values: FloatArray) -> FloatArray:
        """Sum an (H, W) map over each box: (B,)."""
        integral = np.pad(values, ((1, 0), (1, 0))).cumsum(0).cumsum(1)

        def at(y: FloatArray, x: FloatArray) -> FloatArray:
            """Interpolate the integral from the upper left corner; exact, for it is bilinear in a pixel."""
            row, column = (
                np.minimum(edge.astype(int), size - 2)
                for edge, size in zip((y, x), integral.shape, strict=True)
            )
            dy, dx = y - row, x - column
            upper = integral[row, column] * (1 - dx) + integral[row, column + 1] * dx
            lower = integral[row + 1, column] * (1 - dx) + integral[row + 1, column + 1] * dx
            value: FloatArray = upper * (1 - dy) + lower * dy
            return value

        return (
            at(self.bottom, self.right)
            - at(self.top, self.right)
            - at(self.bottom, self.left)
            + at(self.top, self.left)
        )


def boxes_about(size: tuple[int, int], center: tuple[float, float]) -> Boxes:
    """Make the boxes about `center`, (y, x) in px, of a map of `size`, (H, W)."""
    reach = max(max(at + 0.5, side - 0.5 - at) for at, side in zip(center, size, strict=True))
    sides = np.arange(1, 2 * np.ceil(reach) + 2, 2.0)
    # The last one is the first to cover the map.
    sides = sides[: int(np.searchsorted(sides, 2 * reach)) + 1]
    # A pixel's center is half a pixel from its edge.
    (top, bottom), (left, right) = (
        (np.clip(at + 0.5 - sides / 2, 0, side), np.clip(at + 0.5 + sides / 2, 0, side))
        for at, side in zip(center, size, strict=True)
    )
    return Boxes(sides, (bottom - top) * (right - left), top, bottom, left, right)


def crossing(x: FloatArray, y: FloatArray, level: float) -> float:
    """Return where the polygon through (0, 0) and (x, y) first reaches `level`; NaN if it doesn't."""
    reached = np.flatnonzero(y >= level)
    if not len(reached):
        return float("nan")
    at = int(reached[0])
    x0, y0 = (x[at - 1], y[at - 1]) if at else (0.0, 0.0)
    return float(x[at] if y[at] == y0 else x0 + (level - y0) * (x[at] - x0) / (y[at] - y0))
