"""Searches for rings of eight blobs at unknown distances.

The cells are folded about the center onto one octant, where a ring is three blobs. A non-negative
combination of rings and of 5×5 grids at all distances, and of all shapes without arms (Gaussians, circular
and square rings, boxes) is fitted; the same without rings and grids tells what arms add.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special

from erfscope.measure.lattice.cells import WEIGHT_POWER, Cells, cut_cells, reach
from erfscope.measure.lattice.nonnegative import non_negative
from erfscope.records.arrays import FloatArray

COUNT = 48  # cells from the center to the side of the square
WIDTHS = (1.2, 1.7, 2.4, 3.4, 4.8, 6.8, 9.6)  # σ of the blobs that are tried, in cells
SMOOTHING = 0.6  # of a blob's σ: it takes the stride's texture away
MIN_SHARE = 0.05  # of the strongest ring: fainter ones are left out
APART = 0.8  # of a σ: rings nearer than that are one


@dataclass(frozen=True)
class RingCandidate:
    """The rings that the search found at one scale, with blobs of one width.

    Attributes
    ----------
    score
        Share of what shapes without arms leave unexplained (weighted squares) that rings explain; less where
        they explain less than noise would account for, as told by the differences of the folded parts.
    unexplained
        What shapes without arms leave, as a share of all.
    rings
        Distances in px, ascending.
    strengths
        Strengths of the rings, of any scale.
    sigma
        σ of the blobs in E², px.
    half
        Half a side of the square that was searched, px.
    """

    score: float
    unexplained: float
    rings: tuple[float, ...]
    strengths: tuple[float, ...]
    sigma: float
    half: float


def search_rings(erf_squared: FloatArray, center: tuple[float, float]) -> list[RingCandidate]:
    """Search the whole of E², its inner half, quarter, …, for rings of blobs of several widths.

    Parameters
    ----------
    erf_squared
        (H, W): E², of any scale.
    center
        (y, x) in px of the unit's projected center.
    """
    farthest = reach(erf_squared.shape, center)
    return [
        candidate
        for half, count in _scales(farthest)
        for candidate in _search_scale(cut_cells(erf_squared, center, half, count), count, farthest)
    ]


def _scales(farthest: float) -> Iterator[tuple[float, int]]:
    half = farthest
    while True:
        count = min(COUNT, max(8, int(half)))  # cells of at least a pixel
        yield half, count
        if half / count <= 1.0:
            return
        half = max(half / 2, float(COUNT))


def _search_scale(cells: Cells, count: int, farthest: float) -> Iterator[RingCandidate]:
    for width in WIDTHS:
        if width > count / 4:
            return
        blur = max(SMOOTHING * width, 0.7)
        folded, noise, times = fold(cells, cells.smoothed(blur * cells.step), count)
        if not folded.max() > 0:
            return
        yield _explain(folded, noise, times, count, float(np.hypot(width, blur)), width, cells, farthest)


def _explain(
    folded: FloatArray,
    noise: FloatArray,
    times: FloatArray,
    count: int,
    spread: float,
    width: float,
    cells: Cells,
    farthest: float,
) -> RingCandidate:
    distances, rings, grids, armless = _dictionary(count, spread)
    seen = times > 0
    data = folded[seen]
    floor = 0.05 * np.quantile(data, 0.2) + 0.03 * np.quantile(data, 0.9) + 1e-9 * data.max()
    weight = np.sqrt(times[seen]) / (data + floor) ** WEIGHT_POWER
    weight /= np.sqrt(((data * weight) ** 2).sum())
    without, _ = non_negative(armless[:, seen] * weight, data * weight)
    rest, found = non_negative(np.vstack([rings, grids, armless])[:, seen] * weight, data * weight)
    strengths = _of_rings(distances, found[: len(rings)], found[len(rings) : len(rings) + len(grids)])
    inside = distances * cells.step <= farthest - 0.5  # rings with a blob that is centered in the image
    groups = list(_groups(distances, strengths * inside, APART * spread))
    explained, uncertain = without - rest, float((noise[seen] * weight**2).sum())
    return RingCandidate(
        score=explained / without * min(1.0, explained / max(uncertain, 1e-300)) if explained > 0 else 0.0,
        unexplained=without,
        rings=tuple(distance * cells.step for distance, _ in groups),
        strengths=tuple(strength for _, strength in groups),
        sigma=width * cells.step,
        half=cells.half,
    )


def fold(cells: Cells, values: FloatArray, count: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Average over the eight symmetries of the square.

    Returns
    -------
    means, noise, times
        Each on the octant dy ≥ dx ≥ 0 in the order of `numpy.tril_indices(count + 1)`: means; squared
        standard errors of the means, from how the folded values differ; how many cells of the image each
        stands for.
    """
    square = np.zeros((3, 2 * count + 1, 2 * count + 1))
    where = np.ix_(*(np.rint(axis / cells.step).astype(int) + count for axis in (cells.y, cells.x)))
    for layer, array in zip(square, (values, values**2, np.ones_like(values)), strict=True):
        layer[where] = array
    square = square + square[:, ::-1]
    square = (square + square[:, :, ::-1])[:, count:, count:]
    sums, square_sums, times = (square + square.transpose(0, 2, 1))[:, *np.tril_indices(count + 1)]
    y, x = np.tril_indices(count + 1)
    # The fold counts a cell on one of its creases twice, and one on two creases four times.
    times_counted = np.where(y == x, 2.0, 1.0) * np.where(x == 0, 2.0, 1.0) * np.where(y == 0, 2.0, 1.0)
    copies = np.maximum(times / times_counted, 1)
    means = sums / np.maximum(times, 1)
    noise = np.maximum(square_sums / np.maximum(times, 1) - means**2, 0) / np.maximum(copies - 1, 1)
    return means, noise, times / times_counted


@lru_cache(maxsize=32)
def _dictionary(count: int, spread: float) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Distances of the rings in cells; on the octant rings, 5×5 grids of the first steps, armless shapes."""
    axis = np.arange(count + 1.0)
    y, x = np.tril_indices(count + 1)
    radius, square = np.hypot(y, x), np.maximum(y, x)

    def bump(at: FloatArray, where: FloatArray) -> FloatArray:
        bumps: FloatArray = np.exp(-0.5 * ((where - at[:, None]) / spread) ** 2)
        return bumps

    distances = np.arange(1.6 * spread, count - 0.3 * spread, max(1.0, spread / 3))
    off, on = bump(distances, axis) + bump(-distances, axis), bump(np.zeros(1), axis)
    rings = off[:, y] * on[:, x] + on[:, y] * off[:, x] + off[:, y] * off[:, x]
    steps = distances[distances <= 0.5 * distances[-1]]
    fall = [on, bump(steps, axis) + bump(-steps, axis), bump(2 * steps, axis) + bump(-2 * steps, axis)]
    profile = 3 * fall[0] + 2 * fall[1] + fall[2]  # what two convolutions in a row leave along an axis
    grids = profile[:, y] * profile[:, x]
    widths = spread * np.sqrt(2.0) ** np.arange(-2, 9)
    sides = np.arange(0.5 * spread, count + 1, spread)[:, None]
    boxes = special.ndtr((axis + sides) / spread) - special.ndtr((axis - sides) / spread)
    armless = [
        np.ones((1, len(y))),
        np.exp(-0.5 * (radius / widths[:, None]) ** 2),
        bump(np.arange(spread, 1.4 * count, spread), radius),
        bump(np.arange(spread, count, spread), square),
        boxes[:, y] * boxes[:, x],
    ]
    return distances, rings, grids, np.vstack(armless)


def _of_rings(distances: FloatArray, rings: FloatArray, grids: FloatArray) -> FloatArray:
    """Strengths of the rings, a grid counted as its two rings."""
    strengths = rings.copy()
    for step, strength in zip(distances, grids, strict=False):
        for distance, part in ((step, 2.0), (2 * step, 1.0)):
            strengths[np.abs(distances - distance).argmin()] += part * strength
    return strengths


def _groups(distances: FloatArray, found: FloatArray, apart: float) -> Iterator[tuple[float, float]]:
    """Neighboring distances make one ring: their mean, and the sum of their strengths."""
    kept = np.flatnonzero(found > MIN_SHARE * max(found.max(), 1e-300))
    breaks = np.flatnonzero(np.diff(distances[kept]) > apart) + 1
    for group in np.split(kept, breaks):
        if len(group):
            strength = float(found[group].sum())
            yield float(distances[group] @ found[group]) / strength, strength
