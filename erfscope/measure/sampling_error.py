"""When a map has enough images: its sampling error, at which numbers of images to check it, and when to stop.

A run that stops by itself stops where its error happens to look small; and the jackknife's error of images
of unlike masses is too small anyway. What both come to was measured on simulated stars (97×97 px, 16 groups,
logarithms of the masses normal with deviation s, 1500 runs of each kind, stopped at 3 to 30 %), against
the map of infinitely many images:

| s | effective images of 100 | truth over report at the stop | at a fixed number | truth over `until` |
|---|---|---|---|---|
| 0.06 | 99.6 | 1.02 | 1.02 | 0.87 |
| 0.5 | 78 | 1.06–1.09 | 1.02–1.03 | 0.86–0.90 |
| 1 | 37 | 1.16–1.18 | 1.06–1.16 | 0.94–0.96 |
| 1.5 | 11 | 1.2–1.3 | 1.2–1.6 | 0.95–1.08 |

The truth is the root mean square over the runs. Since two checks in a row must agree, it lies below `until`
all the same, but for the last row. Of single maps 0, 3, 7 and 11 % were off by more than twice the reported
error. With the gradient maps of real networks in place of simulated ones the truth at the stop was 1.02 times
the report (untrained FCN, trained DeepLabV3: effective number above 98 %) and 1.05 times (untrained
NonLocalNet: 74 %). Where the arms alone decided when to stop, ring distances scattered by 0.9 to 1.1 times
their error.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from erfscope.measure.extent import effective_diameter
from erfscope.measure.gaussian.quality import SMOOTHING
from erfscope.measure.jackknife_means import JackknifeMeans, jackknife_means
from erfscope.measure.star import FWHM_PER_SIGMA, measure_star
from erfscope.records.arrays import FloatArray
from erfscope.records.convergence import ErrorCheck
from erfscope.records.flags import Flag
from erfscope.records.star import StarMeasurement

FIRST_CHECK = 32  # images: two in each of 16 groups
STEP = 1.25  # from one check to the next
IN_A_ROW = 2  # checks that must be satisfied
DIAMETER_PER_SIGMA = 4.0  # of a Gaussian's effective diameter
SAMPLES_PER_SIGMA = 2.0

#: For a map whose run stopped by its error.
STOPPED = Flag(
    "stopped_by_error",
    "stopped by --until, where errors happen to look small: the true error exceeds the reported one by 2 % "
    "where images weigh alike, 8 % if their effective number is three quarters of their number, 17 % at a "
    "third, 30 % at a tenth",
)


def next_check(images: int) -> int:
    """Return the smallest number of images above `images` at which a check is due.

    They are 32, 40, 50, 62, 78, …: 32 · 1.25^k. It knows nothing but the count, so that a run that was
    resumed checks where it would have anyway.
    """
    steps = 0 if images < FIRST_CHECK else int(np.log(images / FIRST_CHECK) / np.log(STEP))
    due = (round(FIRST_CHECK * STEP**number) for number in range(steps, steps + 3))
    return next(count for count in due if count > images)


def has_converged(checks: Sequence[ErrorCheck], until: float) -> bool:
    """Tell whether the last two checks agree that a map's relative errors are at or below `until`.

    Both must see the same pattern with as many rings. Where it is a star or grid, the distance of every
    ring must be known as well as the map.
    """
    last = checks[-IN_A_ROW:]
    settled = len(last) == IN_A_ROW and len({(each.pattern, each.rings) for each in last}) == 1
    return settled and all(_is_below(each, until) for each in last)


def _is_below(check: ErrorCheck, until: float) -> bool:
    errors = [check.map_error] if check.pattern == "none" else [check.map_error, check.arm_error]
    return all(error is not None and error <= until for error in errors)


def check(
    erf: FloatArray,
    projected_center: tuple[float, float],
    replicates: NDArray[np.floating],
    images_per_group: Sequence[int] | None,
    images: int,
    *,
    star: StarMeasurement | None = None,
) -> ErrorCheck:
    """Measure how well a map is known.

    Parameters
    ----------
    erf
        (H, W) sum over the images, axes (y, x).
    projected_center
        (y, x) in px of the unit's projected center.
    replicates
        (G, H, W) partial sums over disjoint image groups.
    images_per_group
        G numbers; without them the filled groups count as equal.
    images
        How many the sum holds.
    star
        Of this very map, if it was measured already.
    """
    star = star or measure_star(erf, projected_center, replicates, images_per_group=images_per_group)
    means = jackknife_means(erf, images, replicates, images_per_group)
    fwhm = float(star.blob_fwhm_px or width_of_detail(means))
    return ErrorCheck(
        images=images,
        map_error=map_error(means, fwhm),
        arm_error=arm_error(star),
        pattern=star.pattern,
        rings=len(star.rings),
        smoothing_px=fwhm,
        center_to_center_px=star.center_to_center_px,
        center_to_center_stderr_px=star.center_to_center_stderr_px,
    )


def map_error(means: JackknifeMeans, fwhm: float) -> float | None:
    """Return the relative standard error of a mean map that is smoothed by a Gaussian of `fwhm` px.

    It is the L1 norm of each place's error, by the delete-a-group jackknife, over the L1 norm of the map;
    that of the map's scale counts as well. None with fewer than 8 filled groups, or of an empty map.
    """
    rows, columns = (_smoothing(side, fwhm / FWHM_PER_SIGMA) for side in means.mean.values.shape)
    smooth = means.measure(lambda mean: (rows @ mean.values @ columns.T).ravel())
    total = float(np.abs(smooth.values).sum())
    return float(smooth.stderr().sum()) / total if means.groups.sums and total > 0 else None


def arm_error(star: StarMeasurement) -> float | None:
    """Return the relative standard error of the ring's distance that is known worst; None without one."""
    errors = [ring.stderr_px / ring.distance_px for ring in star.rings if ring.stderr_px is not None]
    return max(errors, default=None)


def width_of_detail(means: JackknifeMeans) -> float:
    """Return the full width at half maximum in px by which to smooth a map that has no blobs to tell it.

    That of a Gaussian with σ of 1/64 of the map's shorter side, as `measure.gaussian` smooths before it
    judges a fit; of a map that is less wide, that of a Gaussian of its effective diameter, for such a map is
    one blob; a pixel at least.
    """
    mean = means.mean
    sigmas = [min(mean.values.shape) / SMOOTHING, effective_diameter(mean) / DIAMETER_PER_SIGMA]
    return float(max(1.0, FWHM_PER_SIGMA * np.nanmin(sigmas)))


def images_needed(images: int, error: float, goal: float) -> int:
    """Return how many images bring a map's error to `goal` if so many have `error`: it falls with n^-1/2."""
    return int(np.ceil(images * (error / goal) ** 2))


def _smoothing(side: int, sigma: float) -> FloatArray:
    """Return the (K, side) matrix that smooths by `sigma` px, of what lies in the image, at K places."""
    count = int(np.ceil(min(side, side * SAMPLES_PER_SIGMA / sigma)))
    places = (np.arange(count) + 0.5) * side / count - 0.5
    weights = np.exp(-0.5 * ((np.arange(side) - places[:, None]) / sigma) ** 2)
    smoothing: FloatArray = weights / weights.sum(1, keepdims=True)
    return smoothing
