"""Least squares with coefficients that can't be negative."""

import numpy as np
from scipy import linalg, optimize

from erfscope.records.arrays import FloatArray

RIDGE = 1e-10  # of the mean square of a column, for columns that are nearly alike
STEPS = 100  # a column


def non_negative(columns: FloatArray, data: FloatArray) -> tuple[float, FloatArray]:
    """Combine columns so that little of the data is left.

    Solved through the normal equations, which are small.

    Parameters
    ----------
    columns
        (K, N).
    data
        (N,).

    Returns
    -------
    left, coefficients
        Sum of squares that is left, and (K,) coefficients.
    """
    gram = columns @ columns.T
    gram[np.diag_indices_from(gram)] += RIDGE * np.trace(gram) / len(gram) + np.finfo(float).tiny
    root = linalg.cholesky(gram, lower=True)
    target = linalg.solve_triangular(root, columns @ data, lower=True)
    try:
        found, _ = optimize.nnls(root.T, target, maxiter=STEPS * len(gram))
    except RuntimeError:  # it can go in circles; the slower solver can't
        found = optimize.lsq_linear(root.T, target, (0.0, np.inf), method="bvls").x
    rest = data - found @ columns
    return float(rest @ rest), found
