"""The grid that two atrous convolutions in a row leave: 5×5 blobs, told from a star by its knight's moves."""

from collections.abc import Iterator, Sequence

import numpy as np

from erfscope.measure.lattice.cells import reach
from erfscope.measure.lattice.lattice_fit import LatticeFit, LatticeFitter, Region
from erfscope.measure.lattice.ring_search import Sighting
from erfscope.records.arrays import FloatArray

MIN_KNIGHTS = 0.4  # between the 0 of a star and the 1 of a grid
SEEN = 0.8  # score of a look that may have seen a grid
TWICE = 0.15  # how far the rings' distances may be from 1 : 2 when seen
TWICE_FITTED = 0.1  # and when fitted
MUCH_BETTER = 0.4  # of a star's misfit: a grid must fit that well


def find_grid(
    squares: FloatArray, center: tuple[float, float], sightings: Sequence[Sighting]
) -> tuple[LatticeFit, LatticeFitter, Region] | None:
    """Fit a grid wherever one ring was seen twice as far as another; return the best one that is there.

    Parameters
    ----------
    squares
        (H, W): E², of any scale.
    center
        (y, x) in px of the unit's projected center.

    Returns
    -------
    fit, fitter, region or None
        None if no grid fits much better than the star of the same rings, with blobs a knight's move away.
    """
    found = []
    for spacing, sigma in _spacings(sightings, reach(squares.shape, center) - 0.5):
        distances = np.array([spacing, 2 * spacing])
        region = Region(squares, center, distances[-1], sigma)
        star = LatticeFitter(region, distances, sigma, "star").fit()
        fitter = LatticeFitter(region, distances, sigma, "grid")
        fit = fitter.fit()
        near, far = np.sort(fit.distances)
        if (
            abs(far / near - 2) < 2 * TWICE_FITTED
            and fit.misfit < MUCH_BETTER * star.misfit
            and knights_share(region, fit) > MIN_KNIGHTS
        ):
            found.append((fit.misfit / star.misfit, (fit, fitter, region)))
    return min(found, key=lambda each: each[0])[1] if found else None


def knights_share(region: Region, fit: LatticeFit) -> float:
    """How high blobs stand where a grid has them and a star has none, relative to those beside them.

    About 0 for a star, about 1 for two atrous convolutions in a row.
    """
    fitter = LatticeFitter(region, np.sort(fit.distances), fit.sigma, "grid")
    heights = fitter.heights_at(fit)
    row, column = np.abs(fitter.places.row), np.abs(fitter.places.column)
    outer, inner = np.maximum(row, column), np.minimum(row, column)
    knights, beside = (outer == 2) & (inner == 1), (outer == 2) & (inner != 1)
    if not knights.any() or not beside.any():
        return 0.0
    return float(np.median(heights[knights]) / max(np.median(heights[beside]), 1e-12))


def _spacings(sightings: Sequence[Sighting], farthest: float) -> Iterator[tuple[float, float]]:
    """Spacings of possible grids in px, with the σ of the blobs, the same one only once."""
    pairs = [
        (sighting.score, (near + far) / 3, sighting.sigma)
        for sighting in sightings
        if sighting.score >= SEEN
        for near in sighting.rings
        for far in sighting.rings
        if abs(far / near - 2) < 2 * TWICE
    ]
    seen: list[float] = []
    for _, spacing, sigma in sorted(pairs, reverse=True):
        if 2 * spacing <= farthest and all(abs(spacing / other - 1) > TWICE for other in seen):
            seen.append(spacing)
            yield spacing, sigma
