"""Sampling errors from replicates: the delete-a-group jackknife."""

import numpy as np
from scipy import stats

from erfscope.records.arrays import FloatArray

MIN_GROUPS = 8


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
