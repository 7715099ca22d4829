"""How well a Gaussian describes a map, pixel by pixel and smoothed."""

import numpy as np
from scipy import ndimage

from erfscope.measure.gaussian.bins import even_bins
from erfscope.measure.gaussian.shape_choice import JackknifeFit
from erfscope.measure.gaussian.surface import Gaussian, surface
from erfscope.records.arrays import FloatArray

SMOOTHING = 64  # the map's short side by this is the smoothing's σ, and
LEAST_SMOOTHING = 1.5  # px at least


def residual(data: FloatArray, gaussian: Gaussian) -> FloatArray:
    """Return an (H, W) map less the Gaussian."""
    height, width = data.shape
    y, x = np.arange(height, dtype=np.float64)[:, None], np.arange(width, dtype=np.float64)[None, :]
    return data - surface(gaussian, y, x)


def r_squared(data: FloatArray, left_over: FloatArray) -> float:
    """Share of the variance of an (H, W) map that the residual doesn't hold; 0 for a constant map."""
    spread = float(((data - data.mean()) ** 2).sum())
    return float(1 - (left_over**2).sum() / spread) if spread > 0 else 0.0


def r_squared_smoothed(data: FloatArray, left_over: FloatArray) -> float:
    """Return R² of map and residual after smoothing both, with a Gaussian σ of 1/64 of the short side.

    Both are first averaged in blocks of at most half of that, which changes a smoothed map little.
    """
    sigma = max(LEAST_SMOOTHING, min(data.shape) / SMOOTHING)
    bins = even_bins(data.shape, max(1, int(sigma / 2)))
    width = np.sqrt(sigma**2 - bins.broadening) / bins.block
    blocks = bins.means(data), bins.means(left_over)
    return r_squared(*(ndimage.gaussian_filter(means, width, mode="nearest") for means in blocks))


def information_criterion(data: FloatArray, measured: JackknifeFit) -> float | None:
    """Bayesian information criterion, up to a constant of the map; None for a perfect fit."""
    squares = float((residual(data, measured.fitted.gaussian) ** 2).sum())
    if squares <= 0:
        return None
    parameters = measured.protocol.parameters
    return float(data.size * np.log(squares / data.size) + parameters * np.log(data.size))
