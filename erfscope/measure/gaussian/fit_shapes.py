"""Several models fitted to one map, and to the map without each group of images, over the same bins."""

from collections.abc import Iterable

import numpy as np

from erfscope.measure.gaussian.bins import bins_around, fine_bins_around
from erfscope.measure.gaussian.least_squares import Fitted, Fitter, Protocol, best_fit
from erfscope.measure.gaussian.shape_choice import Groups, Measured, measure_left_out
from erfscope.measure.gaussian.start import starts, turned_start
from erfscope.records.arrays import FloatArray


def fit_models(
    data: FloatArray, models: Iterable[str], groups: Groups, *, with_offset: bool
) -> dict[str, Measured]:
    """Fit each model, in the order given.

    Parameters
    ----------
    data
        (H, W) map, of values near one.
    models
        Names from `GAUSSIAN_MODELS`.
    groups
        Partial sums by image group, of any scale; too few are left out of account.
    with_offset
        Is the offset free, or zero?
    """
    fits = _fit_whole(data, models, with_offset=with_offset)
    gaussians = [fit.gaussian for fit in fits.values()]
    coarse, fine = bins_around(data.shape, gaussians), fine_bins_around(data.shape, gaussians)
    whole, detail = coarse.means(data), fine.means(data)
    parts = np.array([coarse.means(part) for part in groups.maps] if groups.enough else [])
    measured = {}
    for model, fit in fits.items():
        protocol = Protocol(model, with_offset)
        last = Fitter(fine, protocol).fit(detail, fit.gaussian)
        measured[model] = measure_left_out(Fitter(coarse, protocol), last, whole, parts, groups.shares)
    return measured


def _fit_whole(data: FloatArray, models: Iterable[str], *, with_offset: bool) -> dict[str, Fitted]:
    """Fit each model over bins of its own; the axis-aligned one shows the others where to start."""
    upright = best_fit(data, Protocol("axis-aligned", with_offset), starts(data, with_offset=with_offset))
    fits = {}
    for model in models:
        if model == "axis-aligned":
            fits[model] = upright
            continue
        start = upright.gaussian
        if model == "symmetric":
            mean = float(np.sqrt(start.sigma_x * start.sigma_y))
            candidates = [start._replace(sigma_x=mean, sigma_y=mean)]
        else:
            bins = bins_around(data.shape, [start])
            candidates = [turned_start(bins, bins.means(data), start), start._replace(theta=0.1)]
        fits[model] = best_fit(data, Protocol(model, with_offset), candidates)
    return fits
