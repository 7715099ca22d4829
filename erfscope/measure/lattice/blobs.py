"""Single blobs of a fitted lattice: where each one stands, and how much of the map it holds."""

import numpy as np

from erfscope.measure.lattice.cells import Cells
from erfscope.measure.lattice.lattice_fit import PRIOR_WEIGHT, LatticeFit
from erfscope.records.arrays import FloatArray

PLACE_SPREAD = 0.25  # σ: how far a blob may stray from the lattice, the prior where the data leave it open


def blob_places(fit: LatticeFit) -> FloatArray:
    """Locate each blob by itself, its neighbors accounted for.

    Returns
    -------
    (blobs, 2)
        (y, x) in px of the image.
    """
    fitter = fit.fitter
    shapes, rows, columns = fitter.model.blob_slopes(fit.parameters)
    slopes = np.concatenate([rows * fit.heights[:, None, None], columns * fit.heights[:, None, None], shapes])
    slopes = (slopes * fitter.weight).reshape(len(slopes), -1)
    misfit = ((fitter.values - fitter.model(fit.parameters)) * fitter.weight).ravel()
    count = len(fit.heights)
    prior = np.full(len(slopes), PRIOR_WEIGHT / np.sqrt(misfit.size) / (PLACE_SPREAD * fit.sigma))
    prior[2 * count :] = 0.0
    normal = slopes @ slopes.T + np.diag(prior**2)
    normal[np.diag_indices_from(normal)] *= 1 + 1e-9
    steps = np.linalg.solve(normal, slopes @ misfit)
    limit = fit.sigma
    away = np.clip(steps[: 2 * count], -limit, limit).reshape(2, count).T
    places: FloatArray = lattice_places(fit) + away
    return places


def lattice_places(fit: LatticeFit) -> FloatArray:
    """(blobs, 2): (y, x) in px of the image, by the lattice."""
    lines = np.concatenate([-fit.distances[::-1], [0.0], fit.distances])
    count = len(fit.distances)
    off = np.stack([lines[fit.places.row + count], lines[fit.places.column + count]], axis=1)
    places: FloatArray = off + np.array(fit.center)
    return places


def ring_mass_shares(fit: LatticeFit, masses: Cells, total: float) -> tuple[float, FloatArray]:
    """Return the share of the map's sum that the center and each ring hold.

    Where contributions overlap, a cell's E is dealt out in proportion to their parts of E².

    Parameters
    ----------
    masses
        Means of E over the cells of the fit's region.
    total
        Sum of E over the map.

    Returns
    -------
    center, rings
        Shares of the total; the background has the rest.
    """
    model = fit.fitter.model
    shapes, _, _ = model.blob_slopes(fit.parameters)
    parts = shapes * fit.heights[:, None, None]
    whole = np.maximum(model(fit.parameters), 1e-12)
    held = (parts / whole * masses.values).sum((1, 2)) * masses.step**2 / total
    ring = fit.places.ring
    shares = np.array([held[ring == number].sum() for number in range(len(fit.distances) + 1)])
    return float(shares[0]), shares[1:]
