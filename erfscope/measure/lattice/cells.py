"""An array averaged over square cells about a center."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from erfscope.records.arrays import FloatArray

#: A cell's misfit is weighted by its value to the minus this: 0.5 hears the peaks only, 1 the tails as well.
WEIGHT_POWER = 0.75


@dataclass(frozen=True)
class Cells:
    """Square cells about a center, those that lie in the image, and the means of an array over them.

    Attributes
    ----------
    values
        (rows, columns).
    y, x
        (rows,) and (columns,): middles of the cells, px from the center.
    step
        Side of a cell, px.
    half
        Half a side of the whole square, px.
    overlaps
        (rows, H) and (columns, W): shares of the pixels in a cell's mean, along each axis.
    """

    values: FloatArray
    y: FloatArray
    x: FloatArray
    step: float
    half: float
    overlaps: tuple[FloatArray, FloatArray]

    def of(self, array: FloatArray) -> "Cells":
        """Return the same cells of another array of the image's size."""
        rows, columns = self.overlaps
        return replace(self, values=rows @ array @ columns.T)

    def smoothed(self, sigma: float) -> FloatArray:
        """Return the means under a Gaussian of `sigma` px, of what lies in the image."""
        rows, columns = self.smoothing(sigma)
        means: FloatArray = rows @ self.values @ columns.T
        return means

    def smoothing(self, sigma: float) -> tuple[FloatArray, FloatArray]:
        """Return the matrices that smooth by `sigma` px along y and along x, of what lies in the image."""
        rows, columns = (
            ndimage.gaussian_filter1d(np.eye(len(axis)), sigma / self.step, axis=0, mode="constant")
            for axis in (self.y, self.x)
        )
        return rows / rows.sum(1, keepdims=True), columns / columns.sum(1, keepdims=True)


def cut_cells(array: FloatArray, center: tuple[float, float], half: float, count: int) -> Cells:
    """Cut a square of side 2·`half` px into 2·`count` + 1 cells a side, the middle one on the center.

    Cells with more than half of their height or width outside the image are left out.

    Parameters
    ----------
    array
        (H, W), axes (y, x).
    center
        (y, x) in px.
    """
    step = half / count
    middles = np.arange(-count, count + 1) * step
    axes, overlaps = [], []
    for at, size in zip(center, array.shape, strict=True):
        overlap = _overlaps(at + middles, step, size)
        kept = overlap.sum(1) > 0.5 * step
        axes.append(middles[kept])
        overlaps.append(overlap[kept] / overlap[kept].sum(1, keepdims=True))
    empty = np.zeros((len(axes[0]), len(axes[1])))
    return Cells(empty, axes[0], axes[1], step, half, (overlaps[0], overlaps[1])).of(array)


def reach(size: tuple[int, ...], center: tuple[float, float]) -> float:
    """Return the distance in px from the center to the farthest border."""
    return float(max(max(at + 0.5, length - 0.5 - at) for at, length in zip(center, size, strict=True)))


def _overlaps(middles: NDArray[np.floating], step: float, size: int) -> FloatArray:
    """Length in px that each cell has in common with each pixel: (cells, pixels)."""
    low, high = middles[:, None] - step / 2, middles[:, None] + step / 2
    pixels = np.arange(size)
    common: FloatArray = np.minimum(high, pixels + 0.5) - np.maximum(low, pixels - 0.5)
    return np.maximum(common, 0.0)
