"""2D Gaussians fitted to a map with lmfit: symmetric, axis-aligned or rotated, with an offset or without."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from erfscope.errors import MapError
from erfscope.measure.gaussian.fit_record import groups_wanted, make_record
from erfscope.measure.gaussian.fit_shapes import fit_shapes
from erfscope.measure.gaussian.quality import information_criterion, residual
from erfscope.measure.gaussian.shape_choice import JackknifeFit, choose
from erfscope.measure.gaussian.surface import Gaussian
from erfscope.measure.replicate_groups import ReplicateGroups, filled_groups
from erfscope.records.arrays import FloatArray
from erfscope.records.choices import GAUSSIAN_SHAPES
from erfscope.records.flags import Flag
from erfscope.records.gaussian import GaussianFit, Prediction

MIN_PIXELS = 16

_TWO_SIGMAS = "axis-aligned"  # the shape that tells the sigmas apart where the chosen one has a single one


def fit_gaussian(
    erf: FloatArray,
    center: tuple[float, float],
    shape: str = "auto",
    replicates: NDArray[np.floating] | None = None,
    *,
    with_offset: bool = True,
    images_per_group: Sequence[int] | None = None,
) -> GaussianFit:
    """Fit A·exp(−u²/2σx² − v²/2σy²) + offset, with (u, v) the axes turned by θ about (x0, y0).

    Parameters
    ----------
    erf
        (H, W) map, axes (y, x), of any scale.
    center
        (y, x) in px of the unit's projected center, to which shift and asymmetry refer.
    shape
        "symmetric" (σx = σy), "axis-aligned" (θ = 0), "rotated", or "auto": the smallest that no larger
        one beats, by more than a standard error, at predicting the image groups that it wasn't fitted to.
    replicates
        (G, H, W) partial sums over disjoint image groups. With 8 filled ones or more come standard errors
        (delete-a-group jackknife) and the choice of the shape; otherwise "auto" is axis-aligned.
    with_offset
        Whether the offset is free; else it is zero.
    images_per_group
        (G,) how many images each group holds; equally many unless given.

    Returns
    -------
    GaussianFit
        Lengths in px, θ in degrees from +x toward +y, in (−45, 45]. Its `study` is the fit by the
        study's protocol (Table 7): axis-aligned, no offset. What must not be trusted is in `flags`.

    Raises
    ------
    MapError
        An unknown shape, a map of fewer than 16 px, values that aren't finite, or replicates that don't
        belong to the map.
    """
    _check(erf, shape, replicates, images_per_group)
    scale = float(np.abs(erf).max()) or 1.0  # so that the fit sees numbers near one, whatever the map's
    data = erf / scale
    groups = filled_groups(replicates, images_per_group)
    wanted = GAUSSIAN_SHAPES if shape == "auto" else (shape,)
    beside = [_TWO_SIGMAS] if shape == "symmetric" else []
    measured = fit_shapes(data, (*wanted, *beside), groups, with_offset=with_offset)
    chosen, predictions, doubts = _choose(shape, measured, groups)
    wide = measured[_TWO_SIGMAS] if chosen.protocol.shape == "symmetric" else chosen
    by_study = fit_shapes(data, [_TWO_SIGMAS], groups, with_offset=False)[_TWO_SIGMAS]
    fit = make_record(data, scale, center, chosen, wide, groups)
    study = make_record(data, scale, center, by_study, by_study, groups)
    bic = {name: information_criterion(data, measured[name]) for name in wanted}
    return replace(fit, bic=bic, predictions=predictions, flags=(*fit.flags, *doubts), study=study)


def gaussian_residual(erf: FloatArray, fit: GaussianFit) -> FloatArray:
    """Return the (H, W) map less the fitted Gaussian, in the map's units."""
    theta = float(np.radians(fit.theta_deg))
    lengths = fit.x0_px, fit.y0_px, fit.sigma_x_px, fit.sigma_y_px
    return residual(erf, Gaussian(*lengths, theta, fit.amplitude, fit.offset))


def _check(
    erf: FloatArray, shape: str, replicates: NDArray[np.floating] | None, images: Sequence[int] | None
) -> None:
    if shape not in (*GAUSSIAN_SHAPES, "auto"):
        raise MapError(f"no Gaussian is called {shape!r}; expected auto, {', '.join(GAUSSIAN_SHAPES)}")
    if erf.size < MIN_PIXELS:
        raise MapError(f"{erf.shape[0]}×{erf.shape[1]} px are too few for a Gaussian; measure a larger map")
    if not np.isfinite(erf).all():
        raise MapError("the map has values that aren't finite; compute it again, or mend them first")
    if replicates is not None and replicates.shape[1:] != erf.shape:
        raise MapError(f"replicates of {replicates.shape[1:]} px don't belong to a map of {erf.shape} px")
    if replicates is not None and images is not None and len(images) != len(replicates):
        raise MapError(f"{len(images)} group sizes for {len(replicates)} replicates; give one for each")


def _choose(
    shape: str, measured: Mapping[str, JackknifeFit], groups: ReplicateGroups
) -> tuple[JackknifeFit, Mapping[str, Prediction], tuple[Flag, ...]]:
    """Return the fit to report, the predictions that chose it, and what to doubt about the choice."""
    if shape != "auto":
        return measured[shape], {}, ()
    if not groups.enough:
        message = f"shape not chosen but taken to be axis-aligned: {groups_wanted(groups)}"
        return measured[_TWO_SIGMAS], {}, (Flag("shape_not_chosen", message),)
    return *choose([measured[name] for name in GAUSSIAN_SHAPES]), ()
