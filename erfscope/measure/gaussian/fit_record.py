"""From a fit to its record: names and units, errors of both kinds, and flags."""

import numpy as np

from erfscope.measure.gaussian.asymmetry import judge_asymmetry
from erfscope.measure.gaussian.quality import r_squared, r_squared_smoothed, residual
from erfscope.measure.gaussian.shape_choice import JackknifeFit
from erfscope.measure.gaussian.surface import Gaussian
from erfscope.measure.replicate_groups import (
    MIN_GROUPS,
    ReplicateGroups,
    delete_a_group_stderr,
    student_factor,
)
from erfscope.records.arrays import FloatArray
from erfscope.records.flags import Flag
from erfscope.records.gaussian import GAUSSIAN_PARAMETERS, GaussianFit

POOR_FIT = 0.5
SPIKE = 0.5  # px: a narrower Gaussian lies on one or two pixels, which don't tell its width
LOGARITHMIC_FROM = 4  # standard errors from zero, whence a number is as good as sure to be positive
NORMAL_FACTOR = 1.96  # standard errors to each side of a 95 % interval, for the fit's own errors


def make_record(
    data: FloatArray,
    scale: float,
    center: tuple[float, float],
    measured: JackknifeFit,
    wide: JackknifeFit,
    groups: ReplicateGroups,
) -> GaussianFit:
    """Give one fit its names, units, errors and flags.

    Parameters
    ----------
    data, scale
        (H, W) map as it was fitted, and what it was divided by.
    center
        (y, x) in px of the projected center.
    measured, wide
        The fit, and the one that tells its sigmas apart: the same, or another if it has but one.
    groups
        The image groups.
    """
    best = measured.fitted.gaussian
    left_over = residual(data, best)
    smoothed = r_squared_smoothed(data, left_over)
    values = _by_name(_public(best, scale))
    by_fit, by_groups = _fit_errors(measured, scale), _group_errors(measured, groups, scale)
    stderr = by_fit if by_groups is None else by_groups
    factor = NORMAL_FACTOR if by_groups is None else student_factor(len(groups.sums))
    return GaussianFit(
        shape=measured.protocol.shape,
        x0_px=best.x0,
        y0_px=best.y0,
        sigma_x_px=best.sigma_x,
        sigma_y_px=best.sigma_y,
        theta_deg=values["theta_deg"],
        amplitude=values["amplitude"],
        offset=values["offset"],
        stderr=stderr,
        stderr_source="fit" if by_groups is None else "replicates",
        stderr_fit=by_fit,
        stderr_replicates=by_groups,
        interval95={name: _interval(name, value, stderr[name], factor) for name, value in values.items()},
        groups=len(groups.sums),
        r_squared=r_squared(data, left_over),
        r_squared_smoothed=smoothed,
        shift_from_projected_center=(best.y0 - center[0], best.x0 - center[1]),
        asymmetry=judge_asymmetry(_all(measured), _all(wide), wide.protocol.shape, groups.shares, center[0]),
        bic={},
        flags=_flags(measured, data.shape, smoothed, groups),
    )


def groups_wanted(groups: ReplicateGroups) -> str:
    """Say what standard errors and a choice need, and what there is."""
    return f"the map has {len(groups.sums)} filled replicate groups, and {MIN_GROUPS} are needed"


def _all(measured: JackknifeFit) -> list[Gaussian]:
    """Return the fit to the whole map, then those without each group, their axes named alike."""
    best = measured.fitted.gaussian
    return [best, *(fit.gaussian.turned_near(best.theta) for fit in measured.left_out)]


def _public(gaussian: Gaussian, scale: float) -> FloatArray:
    """(7,): the numbers in px, degrees and the map's units."""
    return np.array(gaussian.scaled(scale)._replace(theta=float(np.degrees(gaussian.theta))))


def _by_name(values: FloatArray) -> dict[str, float]:
    return dict(zip(GAUSSIAN_PARAMETERS, values.tolist(), strict=True))


def _fit_errors(measured: JackknifeFit, scale: float) -> dict[str, float | None]:
    """Return the least-squares fit's own standard errors."""
    units = _by_name(np.array([1, 1, 1, 1, np.degrees(1), scale, scale]))
    errors = zip(units.items(), measured.fitted.stderr, strict=True)
    return {name: None if error is None else error * unit for (name, unit), error in errors}


def _group_errors(
    measured: JackknifeFit, groups: ReplicateGroups, scale: float
) -> dict[str, float | None] | None:
    """Return standard errors from the sampling of images; None with too few groups."""
    if not groups.enough:
        return None
    full, *left_out = (_public(one, scale) for one in _all(measured))
    errors = delete_a_group_stderr(full, np.array(left_out), groups.shares)
    # What isn't free, or at its bound, doesn't vary: that is no knowledge of its error.
    return {name: error or None for name, error in _by_name(errors).items()}


def _interval(name: str, value: float, stderr: float | None, factor: float) -> tuple[float, float] | None:
    """Return both ends of an interval; of amplitude and offset on their logarithm, where it exists.

    They follow the gradient mass per image, which is skewed: intervals that are symmetric in it miss the
    truth too often on one side.
    """
    if stderr is None:
        return None
    if name in ("amplitude", "offset") and value > LOGARITHMIC_FROM * stderr:
        ratio = float(np.exp(factor * stderr / value))
        return value / ratio, value * ratio
    return value - factor * stderr, value + factor * stderr


def _flags(
    measured: JackknifeFit, map_size: tuple[int, ...], smoothed: float, groups: ReplicateGroups
) -> tuple[Flag, ...]:
    height, width = map_size
    best, lost = measured.fitted.gaussian, sum(not fit.converged for fit in measured.left_out)
    outside = not (0 <= best.y0 < height and 0 <= best.x0 < width)
    narrow = min(best.sigma_x, best.sigma_y) < SPIKE
    lost_errors = f"{lost} of the fits without a group of images did not converge: errors in doubt"
    no_errors = (
        f"replicate errors not available: {groups_wanted(groups)}; the errors are the fit's own, too small "
        "where neighboring pixels are correlated"
    )
    checks = (
        (not measured.fitted.converged, "fit_not_converged", "the fit did not converge"),
        (outside, "center_outside_map", "the center lies outside the map"),
        (narrow, "narrow_sigma", f"a sigma is below {SPIKE} px: single pixels stand out"),
        (best.sigma_x > width or best.sigma_y > height, "wide_sigma", "a sigma exceeds the map"),
        (smoothed < POOR_FIT, "poor_fit", f"poor fit: R² of the smoothed map below {POOR_FIT}"),
        (lost > 0, "replicate_fits_not_converged", lost_errors),
        (not groups.enough, "few_groups", no_errors),
    )
    return tuple(Flag(code, message) for raised, code, message in checks if raised)
