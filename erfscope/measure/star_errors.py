"""How far the numbers of a star may be off: by the images that were drawn, and by the method."""

from dataclasses import dataclass

import numpy as np

from erfscope.measure.lattice.lattice_fit import LatticeFit
from erfscope.measure.replicate_groups import ReplicateGroups, delete_a_group_stderr, student_factor
from erfscope.records.arrays import FloatArray

# What a replicate doesn't repeat (the search, the cells, which rings there are) is missing in its spread:
# with this, 95 % intervals of 44 maps of 16 images held the value of 128 others in 93 % of the cases.
NOT_REPEATED = 1.1
# Shares of a blob's FWHM, see `systematic_bound`.
EXACT_SHAPE, OVERLAP, BORDER, BORDER_REACH = 0.015, 0.008, 0.1, 0.6
FWHM_PER_SIGMA_SQUARED = 4.0 * np.sqrt(np.log(2.0))  # FWHM of a blob in E, by its σ in E²


@dataclass(frozen=True)
class StarErrors:
    """Standard errors in px, None without enough replicates: image sampling alone."""

    rings: tuple[float | None, ...]
    across: float | None
    width: float | None
    end_to_end: float | None
    groups: int

    def interval(self, across: float) -> tuple[float, float] | None:
        """95 % interval of the center-to-center distance, by Student's t with G′ − 1 degrees of freedom."""
        if self.across is None:
            return None
        reach = student_factor(self.groups) * self.across
        return across - reach, across + reach


def measure_errors(erf: FloatArray, groups: ReplicateGroups, fit: LatticeFit) -> StarErrors:
    """Fit the lattice again without each group of images: the delete-a-group jackknife."""
    count = len(groups.sums)
    if not groups.enough:
        return StarErrors((None,) * len(fit.distances), None, None, None, count)
    region, total, peak = fit.fitter.region, float(erf.sum()), float(erf.max())
    left_out = []
    for group in groups.sums:
        others = np.maximum(erf - group, 0.0)
        others *= total / others.sum() / peak
        values = region.cells.of(others**2).values / region.scale
        left_out.append(_lengths(fit.fitter.refit(fit, values)))
    errors = delete_a_group_stderr(_lengths(fit), np.array(left_out), groups.shares)
    *rings, across, width, end_to_end = (float(error) for error in NOT_REPEATED * errors)
    return StarErrors(tuple(rings), across, width, end_to_end, count)


def _lengths(fit: LatticeFit) -> FloatArray:
    """Rings' distances, center to center, a blob's FWHM, end to end: px."""
    distances = np.sort(fit.distances)
    width = fit.sigma * FWHM_PER_SIGMA_SQUARED
    return np.array([*distances, 2 * distances[-1], width, 2 * distances[-1] + width])


def systematic_bound(
    distances: FloatArray, width: float, size: tuple[int, ...], center: tuple[float, float]
) -> float:
    """Bound the method's own error of the center-to-center distance, px, which more images don't lessen.

    It grows with the overlap of neighboring rings, since blobs are no exact Gaussians, and where the
    outermost ring comes near a border, on either side, since borders do not absorb exactly as the model
    has it. With the sampling error it covers more than 95 % of simulated and real maps whose rings lie at
    least half a FWHM apart.

    Parameters
    ----------
    distances
        Distances of the rings, px, ascending.
    width
        FWHM of a blob, px.
    """
    gap = float(np.diff([0.0, *distances]).min()) / width
    outer = distances[-1]
    to_border = [
        abs(outer - distance)
        for at, length in zip(center, size, strict=True)
        for distance in (at + 0.5, length - 0.5 - at)
    ]
    near = max(0.0, 1 - min(to_border) / (BORDER_REACH * width))
    return float(width * (EXACT_SHAPE + OVERLAP / gap + BORDER * near))
