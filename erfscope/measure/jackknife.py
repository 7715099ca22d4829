"""Sampling errors from replicates: the delete-a-group jackknife."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

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
