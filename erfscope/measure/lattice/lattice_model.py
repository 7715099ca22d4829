"""A lattice of equal blobs in E²: what it looks like in cells, and its derivatives.

Blobs stand on the crossings of the lines 0, ±d₁, ±d₂, … of both axes. Each is a Gaussian. The image's
border takes part of it away: zero padding absorbs what a network's paths carry across, as a wall absorbs
a diffusing gas. So a blob mirrored at the border is subtracted (method of images), with a strength κ
that is fitted, the border's absorption: 0 is no effect, 1 absorbs all.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from erfscope.measure.lattice.cells import Cells
from erfscope.records.arrays import FloatArray

#: Widths of the background's Gaussians about the center, in σ of a blob.
BACKGROUND_WIDTHS = (1.6, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Crossings:
    """The crossings of lines that carry a blob.

    `row` and `column` count lines from −n to n; `ring` is the larger of their magnitudes.
    """

    row: NDArray[np.int_]
    column: NDArray[np.int_]

    @property
    def ring(self) -> NDArray[np.int_]:
        """Ring of each blob: 0 is the center."""
        return np.maximum(np.abs(self.row), np.abs(self.column))

    def __len__(self) -> int:
        return len(self.row)


def crossings(
    distances: FloatArray, pattern: str, center: tuple[float, float], size: tuple[int, ...]
) -> Crossings:
    """Return the crossings of a "star" or "grid" that are centered in the image.

    A tap beyond the border reads padding: there is no blob, not even its tail.
    """
    lines = np.concatenate([-distances[::-1], [0.0], distances])
    count = len(distances)
    number = np.arange(-count, count + 1)
    inside = [
        (at + lines >= -0.5) & (at + lines <= length - 0.5) for at, length in zip(center, size, strict=True)
    ]
    there = np.outer(*inside)
    if pattern == "star":
        row, column = np.abs(number)[:, None], np.abs(number)[None]
        there &= (row == 0) | (column == 0) | (row == column)
    rows, columns = np.nonzero(there)
    return Crossings(number[rows], number[columns])


@dataclass(frozen=True)
class ParameterLayout:
    """Where each parameter stands in the vector of all.

    Center (y, x) in px from the cells' center; distances of the lines; logarithm of σ; κ; a height for each
    blob; the background's heights.
    """

    lines: int
    blobs: int

    @property
    def sigma(self) -> int:
        """Index of log σ."""
        return 2 + self.lines

    @property
    def border_absorption(self) -> int:
        """Index of κ."""
        return 3 + self.lines

    @property
    def heights(self) -> slice:
        """Blobs' heights."""
        return slice(4 + self.lines, 4 + self.lines + self.blobs)

    @property
    def distances(self) -> slice:
        """Distances of the lines, px."""
        return slice(2, 2 + self.lines)

    @property
    def background(self) -> slice:
        """Heights of the floor and of the wide Gaussians."""
        return slice(4 + self.lines + self.blobs, self.total)

    @property
    def total(self) -> int:
        """Number of parameters."""
        return 4 + self.lines + self.blobs + 1 + len(BACKGROUND_WIDTHS)


class LatticeModel:
    """Evaluates a lattice on cells.

    Parameters
    ----------
    cells
        Whose axes are used; their values are not.
    places
        Which crossings carry a blob.
    lines
        How many distances there are.
    borders
        ((top, bottom), (left, right)) of the image, px from the cells' center.
    scale
        σ, px, that the background's widths are multiples of.
    """

    def __init__(
        self,
        cells: Cells,
        places: Crossings,
        lines: int,
        borders: tuple[tuple[float, float], tuple[float, float]],
        scale: float,
    ) -> None:
        self.cells, self.places, self.borders = cells, places, borders
        self.layout = ParameterLayout(lines, len(places))
        self._floor = [np.ones((len(cells.y), len(cells.x)))]
        self._floor += [
            np.outer(*(np.exp(-0.5 * (axis / (width * scale)) ** 2) for axis in (cells.y, cells.x)))
            for width in BACKGROUND_WIDTHS
        ]

    def __call__(self, parameters: FloatArray) -> FloatArray:
        """Return (rows, columns) values of E²."""
        rows, columns, heights = self._parts(parameters)
        value: FloatArray = rows[0].T @ heights @ columns[0]
        for height, shape in zip(parameters[self.layout.background], self._floor, strict=True):
            value += height * shape
        return value

    def jacobian(self, parameters: FloatArray) -> FloatArray:
        """Return (parameters, rows, columns) derivatives."""
        at, lines = self.layout, self.layout.lines
        (y, dy, sy, wy), (x, dx, sx, wx), heights = self._parts(parameters)
        right, left = heights @ x, y.T @ heights
        result = np.empty((at.total, len(self.cells.y), len(self.cells.x)))
        result[0], result[1] = dy.T @ right, left @ dx
        for line in range(lines):
            low, high = lines - 1 - line, lines + 1 + line
            result[2 + line] = dy[[high, low]].T @ (right[[high, low]] * [[1], [-1]])
            result[2 + line] += left[:, [high, low]] @ (dx[[high, low]] * [[1], [-1]])
        result[at.sigma] = (sy.T @ right + left @ sx) * np.exp(parameters[at.sigma])
        result[at.border_absorption] = wy.T @ right + left @ wx
        rows, columns = self.places.row + lines, self.places.column + lines
        result[at.heights] = y[rows][:, :, None] * x[columns][:, None]
        result[at.background] = self._floor
        return result

    def blob_slopes(self, parameters: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return blobs of height 1 and their derivatives by y and by x, each (blobs, rows, columns)."""
        (y, dy, _, _), (x, dx, _, _), _ = self._parts(parameters)
        rows, columns = self.places.row + self.layout.lines, self.places.column + self.layout.lines
        return (
            y[rows][:, :, None] * x[columns][:, None],
            dy[rows][:, :, None] * x[columns][:, None],
            y[rows][:, :, None] * dx[columns][:, None],
        )

    def _parts(
        self, parameters: FloatArray
    ) -> tuple[tuple[FloatArray, ...], tuple[FloatArray, ...], FloatArray]:
        at, lines = self.layout, self.layout.lines
        distances = parameters[at.distances]
        offsets = np.concatenate([-distances[::-1], [0.0], distances])
        heights = np.zeros((2 * lines + 1, 2 * lines + 1))
        heights[self.places.row + lines, self.places.column + lines] = parameters[at.heights]
        sigma, absorption = float(np.exp(parameters[at.sigma])), float(parameters[at.border_absorption])
        rows, columns = (
            _profiles(axis, parameters[i] + offsets, sigma, absorption, self.borders[i], self.cells.step)
            for i, axis in enumerate((self.cells.y, self.cells.x))
        )
        return rows, columns, heights


def _profiles(
    axis: FloatArray,
    at: FloatArray,
    sigma: float,
    absorption: float,
    border: tuple[float, float],
    step: float,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """One axis of the blobs at `at`: (blobs, cells) values, and derivatives by place, σ and κ."""
    spread = sigma**2 + step**2 / 12  # a mean over a cell is nearly a Gaussian that much wider
    height = sigma / np.sqrt(spread)

    def gauss(places: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        off = axis - places[:, None]
        value = height * np.exp(-0.5 * off**2 / spread)
        slope = value * off / spread
        widening = value * (1 / sigma - sigma / spread + off**2 * sigma / spread**2)
        return value, slope, widening

    value, slope, widening = gauss(at)
    low, high = (gauss(2 * edge - at) for edge in border)
    mirrored = low[0] + high[0]
    return (
        value - absorption * mirrored,
        slope + absorption * (low[1] + high[1]),
        widening - absorption * (low[2] + high[2]),
        -mirrored,
    )
