"""The background of a map: its level along the image's border."""

import numpy as np
from scipy import stats

from erfscope.records.arrays import FloatArray

FRAME_SHARE = 16  # of the shorter side: the frame's width
PIECES = 8  # a side of the frame
SURE = 3.0  # standard errors by which a map must stand above its background on average


def measure_background(erf: FloatArray) -> tuple[float, float]:
    """Measure the level of an (H, W) map along the image's border, and how well it is known.

    The frame, 1/16 of the shorter side wide, is cut into 32 pieces. The level is the mean of the middle
    third of their means: means, since the median of a few images' clipped gradients lies below their mean;
    the middle third, since the arms of a star, or a unit near the border, fill some of the pieces, and
    since a median jumps from piece to piece when images are left out.

    Returns
    -------
    tuple of float
        The level, and its standard error from the scatter of the pieces.
    """
    width = max(1, min(erf.shape) // FRAME_SHARE)
    inner = slice(width, -width)
    strips = (erf[:width], erf[-width:], erf[inner, :width].T, erf[inner, -width:].T)
    pieces = [piece for strip in strips for piece in np.array_split(strip, PIECES, axis=1) if piece.size]
    means = np.array([piece.mean() for piece in pieces])
    level = float(stats.trim_mean(means, 1 / 3))
    # For normal scatter 1.4826 median deviations are one standard deviation, and even a median is only
    # 1.2533 times less certain than a mean.
    spread = 1.4826 * float(np.median(np.abs(means - level)))
    return level, 1.2533 * spread / np.sqrt(len(means))


def stands_above(erf: FloatArray, level: float, error: float) -> bool:
    """Tell whether the mean of a map lies above its background by three of the background's errors."""
    mean = float(erf.mean())
    return mean - level > max(SURE * error, 1e-9 * abs(mean))  # rounding's own
