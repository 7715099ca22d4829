"""Whether differences are more than the sampling of images: Student's t, and false-discovery control."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from erfscope.measure.jackknife_means import JackknifeEstimate
from erfscope.records.arrays import FloatArray

#: Relative to what is compared, the rounding of partial sums kept in float32: less is no difference.
ROUNDING = 1e-6


def subtract(
    first: JackknifeEstimate, second: JackknifeEstimate, *, paired: bool
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Subtract numbers measured in two samples.

    Parameters
    ----------
    first, second
        K numbers each. If `paired`, their groups hold the same images, in the same order.

    Returns
    -------
    tuple of (K,) arrays
        second − first; its standard error, NaN if either has no groups; degrees of freedom. Paired, the
        jackknife leaves the same group out of both, G − 1 degrees; else the variances add up, with the
        degrees of Welch and Satterthwaite.
    """
    difference = second.values - first.values
    if not len(first.shares) or not len(second.shares):
        unknown = np.full_like(difference, np.nan)
        return difference, unknown, unknown
    if paired:
        both = JackknifeEstimate(difference, second.left_out - first.left_out, first.shares)
        return difference, both.stderr(), np.full_like(difference, len(first.shares) - 1.0)
    parts = [each.stderr() ** 2 for each in (first, second)]
    variance = parts[0] + parts[1]
    degrees = [len(each.shares) - 1 for each in (first, second)]
    spread = sum(part**2 / count for part, count in zip(parts, degrees, strict=True))
    # A variance of zero may have any degrees.
    freedom = np.divide(variance**2, spread, out=np.full_like(variance, min(degrees)), where=spread > 0)
    return difference, np.sqrt(variance), freedom


def t_test(
    difference: FloatArray, stderr: FloatArray, degrees: FloatArray, size: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return t and the two-sided p-value of each difference, NaN where the error is unknown.

    What is below the rounding of `size`, the magnitude of what was compared, is no difference: t 0, p 1.
    """
    known = np.isfinite(stderr) & np.isfinite(difference)
    same = known & (np.abs(difference) <= ROUNDING * size)
    tested = known & ~same & (stderr > 0)
    t = np.where(same, 0.0, np.divide(difference, stderr, out=np.full_like(difference, np.nan), where=tested))
    return t, np.where(same, 1.0, 2 * stats.t.sf(np.abs(t), degrees))


def discoveries(p_values: FloatArray, rate: float) -> NDArray[np.bool_]:
    """Tell which differences are significant at a false-discovery rate (Benjamini and Hochberg 1995).

    Parameters
    ----------
    p_values
        Of any shape; NaN was not tested.
    rate
        Expected share of false ones among the discoveries, at most.
    """
    tested = np.isfinite(p_values)  # scipy refuses NaN
    found: NDArray[np.bool_] = np.zeros(p_values.shape, bool)
    found[tested] = stats.false_discovery_control(p_values[tested], method="bh") <= rate
    return found
