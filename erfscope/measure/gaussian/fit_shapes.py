"""Several shapes fitted to one map, and to the map without each group of images, over the same bins."""

from collections.abc import Iterable

import numpy as np

from erfscope.measure.gaussian.bins import bins_around, fine_bins_around
from erfscope.measure.gaussian.least_squares import Fitted, Fitter, Protocol, best_fit
from erfscope.measure.gaussian.shape_choice import JackknifeFit, measure_left_out
from erfscope.measure.gaussian.start import starts, turned_start
from erfscope.measure.replicate_groups import ReplicateGroups
from erfscope.records.arrays import FloatArray


def fit_shapes(
    data: FloatArray, shapes: Iterable[str], groups: ReplicateGroups, *, with_offset: bool
) -> dict[str, JackknifeFit]:
    """Fit each shape, in the order given.

    Parameters
    ----------
    data
        (H, W) map, of values near one.
    shapes
        Names from `GAUSSIAN_SHAPES`.
    groups
        Partial sums by image group, of any scale; too few are left out of account.
    with_offset
        Whether the offset is free; else it is zero.
    """
    fits = _fit_whole(data, shapes, with_offset=with_offset)
    gaussians = [fit.gaussian for fit in fits.values()]
    coarse, fine = bins_around(data.shape, gaussians), fine_bins_around(data.shape, gaussians)
    whole, detail = coarse.means(data), fine.means(data)
    parts = np.array([coarse.means(part) for part in groups.sums] if groups.enough else [])
    measured = {}
    for shape, fit in fits.items():
        protocol = Protocol(shape, with_offset)
        last = Fitter(fine, protocol).fit(detail, fit.gaussian)
        measured[shape] = measure_left_out(Fitter(coarse, protocol), last, whole, parts, groups.shares)
    return measured


def _fit_whole(data: FloatArray, shapes: Iterable[str], *, with_offset: bool) -> dict[str, Fitted]:
    """Fit each shape over bins of its own; the axis-aligned one shows the others where to start."""
    upright = best_fit(data, Protocol("axis-aligned", with_offset), starts(data, with_offset=with_offset))
    fits = {}
    for shape in shapes:
        if shape == "axis-aligned":
            fits[shape] = upright
            continue
        start = upright.gaussian
        if shape == "symmetric":
            mean = float(np.sqrt(start.sigma_x * start.sigma_y))
            candidates = [start._replace(sigma_x=mean, sigma_y=mean)]
        else:
            bins = bins_around(data.shape, [start])
            candidates = [turned_start(bins, bins.means(data), start), start._replace(theta=0.1)]
        fits[shape] = best_fit(data, Protocol(shape, with_offset), candidates)
    return fits
