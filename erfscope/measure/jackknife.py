"""Sampling errors from replicates: the delete-a-group jackknife."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from erfscope.records.arrays import FloatArray

MIN_GROUPS = 8


def jackknife_stderr(
    measure: Callable[[FloatArray], FloatArray], replicates: NDArray[np.floating] | None
) -> FloatArray | None:
    """Return the standard error of each number that `measure` returns, from the sampling of images alone.

    Parameters
    ----------
    measure
        From an (H, W) map to a 1-d array of numbers.
    replicates
        (G, H, W) partial sums over disjoint image groups.

    Returns
    -------
    FloatArray or None
        sqrt((G′ − 1) / G′ · Σ (θ_g − mean θ)²) over the G′ filled groups, θ_g being measured without
        group g; None with fewer than 8 filled groups.
    """
    if replicates is None:
        return None
    filled = [group for group in replicates if group.any()]
    if len(filled) < MIN_GROUPS:
        return None
    total = np.sum(filled, axis=0, dtype=np.float64)
    left_out = np.array([measure(total - group) for group in filled])
    count = len(filled)
    variance: FloatArray = (count - 1) / count * ((left_out - left_out.mean(0)) ** 2).sum(0)
    return np.sqrt(variance)


def delete_a_group_stderr(full: FloatArray, left_out: FloatArray, shares: FloatArray) -> FloatArray:
    """Return the standard errors of numbers that were measured again without each group of images.

    Parameters
    ----------
    full
        (K,) numbers measured on all images.
    left_out
        (G, K) the same without group g, from a map scaled up to as many images as before.
    shares
        (G,) each group's share of the images; they add up to one.

    Returns
    -------
    FloatArray
        (K,) by Busing, Meijer and van der Leeden's jackknife for groups of unequal size (Statistics and
        Computing 9, 1999); for equal ones sqrt((G − 1) / G · Σ (θ_g − mean θ)²).
    """
    times = 1 / shares[:, None]
    pseudo = times * full - (times - 1) * left_out
    spread = (pseudo - shares @ pseudo) ** 2 / (times - 1)
    variance: FloatArray = spread.mean(0)
    return np.sqrt(variance)


def student_factor(groups: int) -> float:
    """Return half a 95 % interval in standard errors: Student's t with `groups` − 1 degrees of freedom."""
    return float(stats.t.ppf(0.975, groups - 1))
