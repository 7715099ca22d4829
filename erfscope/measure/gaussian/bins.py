"""A map as the means of rectangular bins: small where the Gaussian varies, large where it has died away.

A Gaussian's least-squares fit needs no more than a few values per σ: fits then cost the same whatever the
map's size, and the broadening by the bins is known. Coarse bins serve to search, and to see what differs
without a group of images; fine ones for the numbers to report.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from erfscope.measure.gaussian.surface import Gaussian
from erfscope.records.arrays import FloatArray

COARSE = 4.0  # bins per σ: they lose 0.5 % of the precision, and texture moves the fit by 0.1 px
FINE = 12.0  # all px up to σ = 24 px
MOST_BINS = 65_000  # a fit then takes some 0.1 s
REACH = 5.0  # sigmas: beyond, the surface is less than 4 millionths of its peak above the offset
LEAST_REACH = 4.5  # sigmas, where bins that were made for one Gaussian serve another
MIN_REACH = 4  # px, so that even a spike leaves more bins than a Gaussian has parameters
MIN_BLOCKS = 16  # along the map's short side, however wide the Gaussian


@dataclass(frozen=True)
class Bins:
    """How a map's pixels are grouped: the edges in px along each axis, from 0 to the map's size.

    `block` is the width in px of the bins in the window where the Gaussian varies.
    """

    y_edges: NDArray[np.intp]
    x_edges: NDArray[np.intp]
    block: int

    @cached_property
    def y(self) -> FloatArray:
        """(rows, 1): the bins' middles in px."""
        return _middles(self.y_edges)[:, None]

    @cached_property
    def x(self) -> FloatArray:
        """(1, columns): the bins' middles in px."""
        return _middles(self.x_edges)[None, :]

    @cached_property
    def pixels(self) -> FloatArray:
        """(rows, columns): how many pixels each bin holds."""
        return np.outer(np.diff(self.y_edges), np.diff(self.x_edges)).astype(np.float64)

    @property
    def broadening(self) -> float:
        """Variance in px² of a pixel's place in its bin, along each axis."""
        return (self.block**2 - 1) / 12

    def means(self, array: NDArray[np.floating]) -> FloatArray:
        """(rows, columns): mean over each bin of an (H, W) map."""
        columns = np.add.reduceat(array, self.x_edges[:-1], axis=1, dtype=np.float64)
        return np.asarray(np.add.reduceat(columns, self.y_edges[:-1], axis=0) / self.pixels)

    def suit(self, gaussian: Gaussian) -> bool:
        """Say whether the bins are fine enough for this Gaussian, and their window holds it."""
        fine = self.block <= max(1.0, 1.5 * bins_around(self.shape, [gaussian]).block)
        places = (gaussian.y0, gaussian.reach[0]), (gaussian.x0, gaussian.reach[1])
        edges = self.y_edges, self.x_edges
        return fine and all(self._holds(*place, own) for place, own in zip(places, edges, strict=True))

    def _holds(self, middle: float, sigma: float, edges: NDArray[np.intp]) -> bool:
        """Say whether no bin that is wider than a block begins within `LEAST_REACH` of the middle."""
        inside = np.clip(middle, 0, edges[-1] - 1)
        wide = np.diff(edges) > self.block
        near = (edges[1:] > inside - LEAST_REACH * sigma) & (edges[:-1] < inside + LEAST_REACH * sigma)
        return not (wide & near).any()

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the maps, in px."""
        return int(self.y_edges[-1]), int(self.x_edges[-1])


def even_bins(shape: tuple[int, ...], block: int) -> Bins:
    """Return bins of block × block px all over the map; the last ones may be narrower."""
    y_edges, x_edges = (np.append(np.arange(0, size, block), size) for size in shape)
    return Bins(y_edges, x_edges, block)


def bins_around(shape: tuple[int, ...], gaussians: Iterable[Gaussian], per_sigma: float = COARSE) -> Bins:
    """Return bins, `per_sigma` to the smallest σ, where any of the Gaussians varies."""
    gaussians = list(gaussians)
    smallest = min(min(gaussian.sigma_x, gaussian.sigma_y) for gaussian in gaussians)
    block = max(1, int(min(smallest / per_sigma, min(shape) // MIN_BLOCKS)))
    y_edges = _edges(shape[0], [(one.y0, one.reach[0]) for one in gaussians], block)
    x_edges = _edges(shape[1], [(one.x0, one.reach[1]) for one in gaussians], block)
    return Bins(y_edges, x_edges, block)


def fine_bins_around(shape: tuple[int, ...], gaussians: Iterable[Gaussian]) -> Bins:
    """Return the finest bins for a last fit that are not too many."""
    gaussians = list(gaussians)
    fine = bins_around(shape, gaussians, FINE)
    return fine if fine.pixels.size <= MOST_BINS else bins_around(shape, gaussians)


def _edges(size: int, places: Iterable[tuple[float, float]], block: int) -> NDArray[np.intp]:
    """Edges along one axis: a window in steps of `block` around every (middle, σ), one bin on each side."""
    spans = [
        (np.clip(middle, 0, size - 1), max(REACH * sigma, MIN_REACH, 2 * block)) for middle, sigma in places
    ]
    low = int(max(0.0, min(middle - half for middle, half in spans)))
    high = int(min(float(size), max(middle + half for middle, half in spans) + 2))
    window = np.arange(low, high + block, block)
    return np.unique(np.concatenate([[0], window[window < size], [size]])).astype(np.intp)


def _middles(edges: NDArray[np.intp]) -> FloatArray:
    return (edges[:-1] + edges[1:] - 1) / 2
