"""What a fitted lattice says of single blobs: where each one stands, and how much of the map it holds."""

import numpy as np

from erfscope.measure.lattice.cells import Cells
from erfscope.measure.lattice.lattice_fit import LatticeFit, LatticeFitter
from erfscope.records.arrays import FloatArray

PLACE_SPREAD = 0.25  # σ: how far a blob is believed to stray from the lattice, where the data leave it open
BELIEF = 0.13  # as in the fit


def blob_places(fitter: LatticeFitter, fit: LatticeFit) -> FloatArray:
    """Locate each blob for itself, its neighbors accounted for.

    Returns
    -------
    (blobs, 2)
        (y, x) in px of the image.
    """
    shapes, rows, columns = fitter.model.blob_slopes(fit.parameters)
    slopes = np.concatenate([rows * fit.heights[:, None, None], columns * fit.heights[:, None, None], shapes])
    slopes = (slopes * fitter.weight).reshape(len(slopes), -1)
    misfit = ((fitter.values - fitter.model(fit.parameters)) * fitter.weight).ravel()
    count = len(fit.heights)
    belief = np.full(len(slopes), BELIEF / np.sqrt(misfit.size) / (PLACE_SPREAD * fit.sigma))
    belief[2 * count :] = 0.0
    normal = slopes @ slopes.T + np.diag(belief**2)
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


def ring_mass_shares(
    fitter: LatticeFitter, fit: LatticeFit, masses: Cells, total: float
) -> tuple[float, FloatArray]:
    """Tell which share of the map's sum the center and each ring hold.

    Where contributions overlap, a cell's E is dealt out in proportion to their parts of E².

    Parameters
    ----------
    masses
        Means of E over the fitter's cells.
    total
        Sum of E over the map.

    Returns
    -------
    center, rings
        Shares of the total; what remains is the background's.
    """
    shapes, _, _ = fitter.model.blob_slopes(fit.parameters)
    parts = shapes * fit.heights[:, None, None]
    whole = np.maximum(fitter.model(fit.parameters), 1e-12)
    held = (parts / whole * masses.values).sum((1, 2)) * masses.step**2 / total
    ring = fit.places.ring
    shares = np.array([held[ring == number].sum() for number in range(len(fit.distances) + 1)])
    return float(shares[0]), shares[1:]
