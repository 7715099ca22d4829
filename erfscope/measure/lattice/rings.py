"""Fits a star to a candidate's rings, and decides which of them are needed."""

import numpy as np

from erfscope.measure.lattice.cells import reach
from erfscope.measure.lattice.lattice_fit import LatticeFit, LatticeFitter, Region
from erfscope.measure.lattice.ring_search import RingCandidate
from erfscope.records.arrays import FloatArray

MERGED = 1.2  # σ: two rings nearer than this are tried as one
# A ring stays if without it the misfit grows by more than this; a ring that its neighbors half cover
# may stand for a blob that is no exact Gaussian.
NEEDED, NEEDED_COVERED = 1.03, 1.17
COVERED = 1.67  # σ: half a FWHM in E
MOST_ADDED = 2  # rings that the search missed, under a strong center
WIDE_GAP = 3.2  # σ: in a gap between rings at least that wide another one is tried
FAINT = 0.12  # of the strongest ring: a ring must be stronger
MIN_EVEN = 0.7  # of a ring's blobs reach a third of their median
MOST_RESTARTS = 3  # of a fit whose rings started too far away
WIDTH_CHANGED = 1.25  # the cells are cut anew if the blobs turn out so much wider or narrower


def fit_star(erf_squared: FloatArray, center: tuple[float, float], candidate: RingCandidate) -> LatticeFit:
    """Fit a star to the rings of a candidate, leaving out those that the fit doesn't need.

    Parameters
    ----------
    erf_squared
        (H, W): E², of any scale.
    center
        (y, x) in px of the unit's projected center.
    """
    rings = np.array(candidate.rings)
    region = Region(erf_squared, center, rings[-1], candidate.sigma)
    fit = _fit(region, rings, candidate.sigma)
    if not 1 / WIDTH_CHANGED < fit.sigma / candidate.sigma < WIDTH_CHANGED:
        rings = np.sort(fit.distances)
        region = Region(erf_squared, center, rings[-1], fit.sigma)
        fit = _fit(region, rings, fit.sigma)
    while (simpler := _simpler(region, fit)) is not None:
        fit = simpler
    for _ in range(MOST_ADDED):
        more = _one_more(fit)
        if more is None:
            break
        trial = _fit(region, more, fit.sigma)
        strengths = ring_strengths(trial)
        if trial.misfit * NEEDED > fit.misfit or strengths.min() < FAINT * strengths.max():
            break
        fit = trial
    # Only now: with rings too many, one that may go anywhere goes astray.
    for _ in range(MOST_RESTARTS):
        if fit.fitter.is_at_bound(fit):
            fit = _fit(region, np.sort(fit.distances), fit.sigma)
    return fit


def _fit(region: Region, distances: FloatArray, sigma: float) -> LatticeFit:
    inside = distances <= reach(region.size, region.center) - 0.5  # a fit may push a ring over the border
    return LatticeFitter(region, distances[inside], sigma).fit()


def ring_strengths(fit: LatticeFit) -> FloatArray:
    """Return what a blob of each ring adds to E² in the image, on the mean.

    In the order of `distances`. Not its height: near a border that absorbs, a high blob may add nothing.
    """
    ring = fit.places.ring
    added = fit.heights * fit.fitter.model.blob_slopes(fit.parameters)[0].sum((1, 2))
    return np.array([added[ring == number].mean() for number in range(1, len(fit.distances) + 1)])


def _simpler(region: Region, fit: LatticeFit) -> LatticeFit | None:
    """Fit without a ring that isn't needed: two that are nearly one are joined, the weakest is left out.

    A faint ring goes even if the fit is worse without it. None if all are needed.
    """
    if len(fit.distances) < 2:
        return None
    order = np.argsort(fit.distances)
    distances, strengths = fit.distances[order], ring_strengths(fit)[order]
    weakest = int(strengths.argmin())
    without = np.delete(distances, weakest)
    if strengths[weakest] < FAINT * strengths.max():
        return _fit(region, without, fit.sigma)
    joined = _joined(distances, strengths, fit.sigma)
    # The outermost ring has no neighbor outside.
    gap = np.diff([0.0, *distances, np.inf])[weakest : weakest + 2].min()
    needed = NEEDED_COVERED if gap < COVERED * fit.sigma else NEEDED
    candidates = [(without, needed)] if joined is None else [(joined, NEEDED_COVERED), (without, needed)]
    for fewer, worse in candidates:
        trial = _fit(region, fewer, fit.sigma)
        if trial.misfit < worse * fit.misfit:
            return trial
    return None


def _joined(distances: FloatArray, strengths: FloatArray, sigma: float) -> FloatArray | None:
    """Join the two nearest rings; None if they are too far apart to be one."""
    near = int(np.diff(distances).argmin())
    pair = slice(near, near + 2)
    if np.diff(distances)[near] > MERGED * sigma:
        return None
    joined = np.average(distances[pair], weights=np.maximum(strengths[pair], 1e-12))
    return np.sort([*np.delete(distances, pair), joined])


def ring_evenness(fit: LatticeFit) -> FloatArray:
    """Return of each ring the share of its blobs that reach a third of their median."""
    ring = fit.places.ring
    rings = [fit.heights[ring == number] for number in range(1, len(fit.distances) + 1)]
    return np.array([(each > np.median(each) / 3).mean() * (np.median(each) > 0) for each in rings])


def _one_more(fit: LatticeFit) -> FloatArray | None:
    """Put a ring into the widest gap, the one about the center included; None if no gap is wide."""
    distances = np.sort(fit.distances)
    gaps = np.diff([0.0, *distances])
    widest = int(gaps.argmax()) if len(gaps) else 0
    if not len(gaps) or gaps[widest] < WIDE_GAP * fit.sigma:
        return None
    return np.sort([*distances, distances[widest] - gaps[widest] / 2])
