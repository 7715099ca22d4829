"""The grid of 5×5 blobs that two atrous convolutions in a row leave; a star has none off its arms."""

from collections.abc import Iterator, Sequence

import numpy as np

from erfscope.measure.lattice.cells import reach
from erfscope.measure.lattice.lattice_fit import LatticeFit, LatticeFitter, Region
from erfscope.measure.lattice.ring_search import RingCandidate
from erfscope.records.arrays import FloatArray

MIN_OFF_ARM_SHARE = 0.4  # between the 0 of a star and the 1 of a grid
MIN_SCORE = 0.8  # of a candidate that may be a grid
TWICE = 0.15  # how far the distances of the candidate's rings may be from 1 : 2
TWICE_FITTED = 0.1  # and those of the fitted ones
MUCH_BETTER = 0.4  # of a star's misfit: a grid must fit that well


def find_grid(
    erf_squared: FloatArray, center: tuple[float, float], candidates: Sequence[RingCandidate]
) -> LatticeFit | None:
    """Fit a grid wherever one ring lies twice as far as another, and return the best one.

    Parameters
    ----------
    erf_squared
        (H, W): E², of any scale.
    center
        (y, x) in px of the unit's projected center.

    Returns
    -------
    LatticeFit or None
        None if no grid fits much better than the star of the same rings, with blobs off the star's arms.
    """
    found = []
    for spacing, sigma in _spacings(candidates, reach(erf_squared.shape, center) - 0.5):
        distances = np.array([spacing, 2 * spacing])
        region = Region(erf_squared, center, distances[-1], sigma)
        star = LatticeFitter(region, distances, sigma, "star").fit()
        fit = LatticeFitter(region, distances, sigma, "grid").fit()
        near, far = np.sort(fit.distances)
        if (
            abs(far / near - 2) < 2 * TWICE_FITTED
            and fit.misfit < MUCH_BETTER * star.misfit
            and off_arm_share(fit) > MIN_OFF_ARM_SHARE
        ):
            found.append((fit.misfit / star.misfit, fit))
    return min(found, key=lambda each: each[0])[1] if found else None


def off_arm_share(fit: LatticeFit) -> float:
    """Return the height of a grid's blobs off the star's arms, relative to those beside them.

    Off the arms are those two lines away along one axis and one along the other, a knight's move. About 0
    for a star, about 1 for two atrous convolutions in a row.
    """
    fitter = LatticeFitter(fit.fitter.region, np.sort(fit.distances), fit.sigma, "grid")
    heights = fitter.heights_at(fit)
    row, column = np.abs(fitter.places.row), np.abs(fitter.places.column)
    outer, inner = np.maximum(row, column), np.minimum(row, column)
    off_arm, beside = (outer == 2) & (inner == 1), (outer == 2) & (inner != 1)
    if not off_arm.any() or not beside.any():
        return 0.0
    return float(np.median(heights[off_arm]) / max(np.median(heights[beside]), 1e-12))


def _spacings(candidates: Sequence[RingCandidate], farthest: float) -> Iterator[tuple[float, float]]:
    """Yield the spacings of possible grids in px, each once, with the σ of the blobs."""
    pairs = [
        (candidate.score, (near + far) / 3, candidate.sigma)
        for candidate in candidates
        if candidate.score >= MIN_SCORE
        for near in candidate.rings
        for far in candidate.rings
        if abs(far / near - 2) < 2 * TWICE
    ]
    tried: list[float] = []
    for _, spacing, sigma in sorted(pairs, reverse=True):
        if 2 * spacing <= farthest and all(abs(spacing / other - 1) > TWICE for other in tried):
            tried.append(spacing)
            yield spacing, sigma
